#!/bin/sh
# Install the project into a virtual environment: install.sh PYTHON run|test
set -eu
python=$1
purpose=$2
cd "$(dirname "$0")/.."

extras=tts,portraits
if [ "$purpose" = test ]; then
    extras=$extras,sonic,train,dev
fi
"$python" -m pip install --quiet --upgrade pip
# The server is useful without them, so `make run` goes on when an extra has no wheel here.
"$python" -m pip install --quiet --editable ".[$extras]" ||
    { [ "$purpose" = run ] && "$python" -m pip install --quiet --editable .; }

# mediapipe depends on an OpenCV that needs a display library. Its face finder runs with the
# headless one, so it comes without its dependencies; the extra lists those it really uses.
version=$("$python" -c 'import sys; print("mediapipe==0.10.21" if sys.version_info < (3, 13) else "mediapipe>=1.0,<2")')
"$python" -m pip install --quiet --no-deps "$version" ||
    echo "no mediapipe here: portraits of your own are switched off" >&2

[ "$purpose" = test ] || exit 0
# Node.js came with the extra `dev`; the pages' types are checked by TypeScript.
bin=$(dirname "$python")
PATH="$bin:$PATH" "$bin/npm" install --silent --no-save --no-audit --no-fund \
    --prefix "$bin/../node" "typescript@>=5.8 <6"
# Real peers for the tests of sinks; without one its tests are skipped. Only where no init would
# start what is installed.
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ ! -d /run/systemd/system ]; then
    missing=$(for package in nginx-light libnginx-mod-rtmp janus srt-tools coturn libportaudio2; do
        dpkg -s "$package" >/dev/null 2>&1 || echo "$package"
    done)
    [ -z "$missing" ] || apt-get update -qq
    for package in $missing; do
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" ||
            echo "no $package here" >&2
    done
fi
command -v chromium >/dev/null || command -v google-chrome >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium
else
    "$python" -m playwright install chromium
fi
