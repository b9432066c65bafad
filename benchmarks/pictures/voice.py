"""The embedded voice and when it says each word; the library runs in a child process.

As a program: `python -m benchmarks.pictures.voice` reads {"text", "voice", "rate_wpm",
"pitch"} and writes a line of JSON (`rate_hz`, `words`), then int16 PCM.
"""

from __future__ import annotations

import ctypes
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from avatar_server.sources.speech.espeak import ENGLISH, Leveller
from sonic_stream.media import FloatArray

TIMEOUT_S = 60
END, WORD = 0, 1


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    start_s: float


@dataclass(frozen=True)
class Spoken:
    """`samples` float32 [n] at `rate_hz`, levelled as in the server."""

    samples: FloatArray
    rate_hz: int
    words: list[Word]


def speak(text: str, lead_s: float, tail_s: float) -> Spoken:
    """With silence before and after. Raises `RuntimeError` where the voice is not installed."""
    request = {
        "text": text, "voice": ENGLISH.name,
        "rate_wpm": ENGLISH.rate_wpm, "pitch": ENGLISH.pitch,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.pictures.voice"],
        input=json.dumps(request).encode(), capture_output=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"no voice; pip install 'avatar-server[tts]': {done.stderr.decode()}")
    head, pcm = done.stdout.split(b"\n", 1)
    told = json.loads(head)
    rate_hz = int(told["rate_hz"])
    said = Leveller().apply(np.frombuffer(pcm, np.int16).astype(np.float32) / 32768)
    lead, tail = (np.zeros(int(s * rate_hz), np.float32) for s in (lead_s, tail_s))
    words = [Word(word, lead_s + at_s) for word, at_s in told["words"]]
    return Spoken(np.concatenate([lead, said, tail]), rate_hz, words)


class _Event(ctypes.Structure):
    """espeak_EVENT"""

    _fields_ = (
        ("type", ctypes.c_int),
        ("message", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


def main() -> None:
    from avatar_server.sources.speech.espeak_process import Espeak

    class Listening(Espeak):
        def __init__(self) -> None:
            self.pcm, self.marks = io.BytesIO(), list[tuple[int, int, float]]()
            super().__init__(self.pcm)

        def _made(self, samples: Any, count: int, events: Any) -> int:
            if samples and count > 0:
                self.pcm.write(ctypes.string_at(samples, 2 * count))
            event = ctypes.cast(events, ctypes.POINTER(_Event))
            index = 0
            while event[index].type != END:
                at = event[index]
                if at.type == WORD:
                    self.marks.append((at.text_position - 1, at.length, at.position_ms / 1000))
                index += 1
            return 0

        def _send(self, pcm: bytes) -> None:
            """All goes out at the end."""

    request = json.load(sys.stdin)
    voice = Listening()
    voice.say(request)
    text = request["text"]
    words = [(text[at : at + length], start_s) for at, length, start_s in voice.marks]
    head = json.dumps({"rate_hz": voice.rate_hz, "words": words})
    sys.stdout.buffer.write(head.encode() + b"\n" + voice.pcm.getvalue())


if __name__ == "__main__":
    main()
