"""Decode an untrusted sound file: a child process with limits, PCM on its standard output.

    python -m avatar_server.sources.decode probe FILE   one JSON object
    python -m avatar_server.sources.decode pcm FILE     float32 mono 48 kHz, little endian

Errors are one JSON object on standard error and exit status 2.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator

import av

RATE_HZ = 48_000
FORMATS = frozenset({"wav", "mp3", "ogg", "flac", "mov", "matroska", "aac", "webm"})
MAX_SECONDS = 600
MEMORY_BYTES = 2 << 30


class Refused(Exception):
    """The file is not what we play; the message says why."""


def open_sound(path: str) -> av.container.InputContainer:
    """The file, if it is a sound file of an allowed format."""
    container = av.open(path, options={"protocol_whitelist": "file"})
    if not FORMATS & set(container.format.name.split(",")):
        raise Refused(f"{container.format.name} is not played; use WAV, MP3, Opus, FLAC or M4A")
    if not container.streams.audio:
        raise Refused("there is no sound in this file")
    return container


def decoded(container: av.container.InputContainer) -> Iterator[bytes]:
    """Mono float32 PCM at 48 kHz, piece by piece, at most `MAX_SECONDS` of it."""
    resampler = av.AudioResampler(format="fltp", rate=RATE_HZ)
    left = MAX_SECONDS * RATE_HZ
    for frame in container.decode(audio=0):
        for piece in resampler.resample(frame):
            yield _mono(piece)[: 4 * left]
            left -= piece.samples
        if left <= 0:
            return
    for piece in resampler.resample(None):
        yield _mono(piece)


def _mono(piece: av.AudioFrame) -> bytes:
    """The mean of the channels: libswresample's own mix-down makes them louder."""
    samples: bytes = piece.to_ndarray().mean(axis=0, dtype="float32").tobytes()
    return samples


def probe(path: str) -> dict[str, float]:
    """Decodes all of it: only that tells the true length of a damaged or lying file."""
    with open_sound(path) as container:
        samples = sum(len(piece) // 4 for piece in decoded(container))
    if samples == 0:
        raise Refused("the file holds no sound")
    if samples >= MAX_SECONDS * RATE_HZ:
        raise Refused(f"the sound is longer than {MAX_SECONDS // 60} minutes")
    return {"duration_s": round(samples / RATE_HZ, 3)}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    task, path = sys.argv[1:]
    try:
        if task == "probe":
            sys.stdout.write(json.dumps(probe(path)))
            return
        with open_sound(path) as container:
            for piece in decoded(container):
                sys.stdout.buffer.write(piece)
    except (av.FFmpegError, Refused, ValueError, EOFError, MemoryError) as error:
        ours = isinstance(error, Refused)
        reason = str(error) if ours else "this is no sound file that we can read"
        sys.stderr.write(json.dumps({"message": reason}))
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()  # the reader has heard enough


if __name__ == "__main__":
    main()
