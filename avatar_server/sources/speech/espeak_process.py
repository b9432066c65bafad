"""The embedded voice's process: espeak-ng behind pipes.

espeak-ng is GPL-3; it runs here, apart from the server, and is reached by pipe only.

Input: {"text", "voice", "rate_wpm", "pitch"}; output as all voices' (`voice_process`).
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterator
from typing import Any

import espeakng_loader

from avatar_server.sources.speech.voice_process import Send, serve

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
    """The library, initialised."""

    def __init__(self) -> None:
        self._send: Send = lambda *_: None
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = str(espeakng_loader.get_data_path()).encode()
        self._rate_hz = self._library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 200, data, 0)
        if self._rate_hz <= 0:
            raise OSError("espeak-ng could not be initialised")
        self._callback = CALLBACK(self._made)  # must outlive the calls into the library
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, request: dict[str, Any], send: Send) -> None:
        self._send = send
        self._library.espeak_SetVoiceByName(str(request["voice"]).encode())
        self._library.espeak_SetParameter(RATE, int(request["rate_wpm"]), 0)
        self._library.espeak_SetParameter(PITCH, int(request["pitch"]), 0)
        text = str(request["text"]).encode() + b"\0"
        self._library.espeak_Synth(text, len(text), 0, 0, 0, CHARS_UTF8, None, None)
        self._library.espeak_Synchronize()

    def _made(self, samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            pcm = ctypes.string_at(samples, 2 * count)
            self._send(self._rate_hz, pcm, list(_words(events)))
        return 0


def _words(events: Any) -> Iterator[tuple[int, int, int]]:
    for index in itertools.count():
        event = events[index]
        if event.type == END_OF_EVENTS:
            return
        if event.type == WORD:
            place = max(event.text_position - 1, 0)  # counted from 1
            yield place, max(event.length, 0), max(event.sample, 0)


if __name__ == "__main__":
    serve(lambda: Espeak().say)
