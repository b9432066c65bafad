"""What every voice's own process does with its pipes: the other half of `child`.

Input, one JSON object a line. Output, pieces: three u32 (rate in Hz, bytes of PCM, count of words),
the PCM (int16, mono), then three u32 for each word that begins in it or in the next: (place in the
text, length, both in characters; sample since the utterance began). A piece of rate 0 ends an
utterance; the first one says that the voice is ready. What is said of rate `FAILED` is no sound but
a text: why it cannot be spoken.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any

HEAD = struct.Struct("<III")
EVENT = struct.Struct("<III")
FAILED = 0xFFFFFFFF

# Called for each piece: its rate, its PCM, its words.
Send = Callable[[int, bytes, Sequence[tuple[int, int, int]]], None]
Say = Callable[[dict[str, Any], Send], None]


def serve(load: Callable[[], Say]) -> None:
    """The process's life: make the voice ready, then say what is asked for. What libraries print
    goes to stderr."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(rate_hz: int, pcm: bytes, words: Sequence[tuple[int, int, int]] = ()) -> None:
        output.write(HEAD.pack(rate_hz, len(pcm), len(words)) + pcm)
        output.write(b"".join(EVENT.pack(*word) for word in words))
        output.flush()

    try:
        _attend(load, send)
    except BrokenPipeError:
        sys.stderr.close()


def _attend(load: Callable[[], Say], send: Send) -> None:
    """Whatever library speaks here, and however it fails: the server is told why."""
    try:
        say = load()
    except Exception as error:  # noqa: BLE001
        send(FAILED, _told(error), ())
        return
    send(0, b"", ())
    for line in sys.stdin:
        try:
            say(json.loads(line), send)
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001
            send(FAILED, _told(error), ())
        send(0, b"", ())


def _told(error: Exception) -> bytes:
    return f"{type(error).__name__}: {error}"[:500].encode()
