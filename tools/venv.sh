#!/bin/sh
# Make a virtual environment: venv.sh DIR
#
# Python 3.12 or 3.11 serves best (their face finder carries its model). Where there is neither,
# uv brings one; where uv cannot, a newer Python does, and pictures of one's own need a model file.
set -eu
dir=$1

make_with() { # each of the given interpreters, the first that can make an environment
    for python in "$@"; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        rm -rf "$dir"
        "$python" -m venv "$dir" 2>/dev/null && return 0
    done
    return 1
}

make_with_uv() {
    uv=$(command -v uv) || {
        make_with python3 && "$dir/bin/python" -m pip install --quiet uv 2>/dev/null || return 1
        mv "$dir" "$dir-uv" && uv=$dir-uv/bin/uv
    }
    "$uv" venv --quiet --seed --python 3.12 "$dir" && status=0 || status=1
    rm -rf "$dir-uv"
    return $status
}

make_with python3.12 python3.11 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-venv
    make_with python3.12 python3.11 && exit 0
fi
make_with_uv && exit 0
make_with python3 && exit 0
echo "Python 3.11 or newer is needed: install python3-venv, or uv" >&2
exit 1
