"""The embedded voice's process: espeak-ng behind pipes.

espeak-ng is GPL-3; it runs here, apart from the server, and is reached by pipe only.

Input, one JSON object a line: {"text": …, "voice": …, "rate_wpm": …, "pitch": …}
Output, per piece: u32 length + int16 mono PCM, then u32 count + count times three u32 for the words
that begin in it or in the next: (place in the text, length, both in characters; sample). A piece
without sound ends an utterance. The first eight bytes are the sample rate as two u32 (rate, 0).
"""

from __future__ import annotations

import ctypes
import itertools
import json
import struct
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import espeakng_loader

AUDIO_OUTPUT_SYNCHRONOUS = 2
CHARS_UTF8 = 1
RATE, VOLUME, PITCH = 1, 2, 3
END_OF_EVENTS, WORD = 0, 1


class Event(ctypes.Structure):
    """`espeak_EVENT` of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event)
)


class Espeak:
    """The library, initialised; what it says goes to `output`."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = str(espeakng_loader.get_data_path()).encode()
        self.rate_hz = self._library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 200, data, 0)
        if self.rate_hz <= 0:
            raise SystemExit("espeak-ng could not be initialised")
        self._callback = CALLBACK(self._made)  # must outlive the calls into the library
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, request: dict[str, Any]) -> None:
        self._library.espeak_SetVoiceByName(str(request["voice"]).encode())
        self._library.espeak_SetParameter(RATE, int(request["rate_wpm"]), 0)
        self._library.espeak_SetParameter(PITCH, int(request["pitch"]), 0)
        text = str(request["text"]).encode() + b"\0"
        self._library.espeak_Synth(text, len(text), 0, 0, 0, CHARS_UTF8, None, None)
        self._library.espeak_Synchronize()
        self._send(b"", [])

    def _made(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            self._send(ctypes.string_at(samples, 2 * count), list(_words(events)))
        return 0

    def _send(self, pcm: bytes, words: list[bytes]) -> None:
        self._output.write(struct.pack("<I", len(pcm)) + pcm)
        self._output.write(struct.pack("<I", len(words)) + b"".join(words))
        self._output.flush()


def _words(events: Any) -> Iterator[bytes]:
    for index in itertools.count():
        event = events[index]
        if event.type == END_OF_EVENTS:
            return
        if event.type == WORD:
            place = max(event.text_position - 1, 0)  # counted from 1
            yield struct.pack("<III", place, max(event.length, 0), max(event.sample, 0))


def main() -> None:
    output = sys.stdout.buffer
    espeak = Espeak(output)
    output.write(struct.pack("<II", espeak.rate_hz, 0))
    output.flush()
    try:
        for line in sys.stdin:
            espeak.say(json.loads(line))
    except BrokenPipeError:
        sys.stderr.close()


if __name__ == "__main__":
    main()
