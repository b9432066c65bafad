# ruff: noqa: SIM905 (word lists read better split from a string)
"""espeak-ng through its library: speech in many languages with timed IPA phones."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sonic_stream.media import FloatArray
from sonic_stream.training import phones, texts
from sonic_stream.training.synth import Plan, Utterance, utterance

LIBRARY = "libespeak-ng.so.1"
SYNCHRONOUS = 2
PHONE_EVENTS_IPA = 3
EVENT_END, EVENT_PHONE = 0, 7
RATE, PITCH, RANGE = 1, 3, 4  # espeak_PARAMETER
UTF8 = 1
IPA = 2

LANGUAGES = (
    *("en-us",) * 10, *("en",) * 4, "en-gb-scotland", "en-029", "en-gb-x-rp", *("cmn",) * 5,
    "es", "es-419", "de", "de", "fr", "fr", "it", "pt", "pt-br", "ru", "pl", "tr", "ja",
    "ja", "cs", "fi", "sv", "nl", "el", "ro", "hu", "id", "sw",
)  # fmt: skip
VARIANTS = (
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 Andy Annie Denis Diogo Gene Henrique Jacky Lee Mario "
    "Michael Mike Quincy Rob Robert Steph klatt2 klatt4 klatt5 klatt6 linda zac adam anika "
    "belinda grandpa iven john marcelo max michel miguel norbert pablo paul pedro sandro shelby "
    "travis victor antonio aunty benjamin boris caleb david ed edward gustave ian"
).split()


class _Id(ctypes.Union):
    _fields_ = (
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    )


class _Event(ctypes.Structure):
    """espeak_EVENT; `position_ms` is where in the sound it happens."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("message", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


@dataclass(frozen=True)
class Manner:
    words_per_minute: int
    pitch: int
    pitch_range: int


class Espeak:
    """One per process: the library keeps global state. Raises `OSError` where it is missing."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(LIBRARY)
        self.rate_hz: int = self._library.espeak_Initialize(SYNCHRONOUS, 0, None, PHONE_EVENTS_IPA)
        if self.rate_hz <= 0:
            raise OSError("espeak-ng does not start")
        self._sound: list[npt.NDArray[np.int16]] = []
        self._phones: list[tuple[float, str]] = []
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
        )
        self._callback = kind(self._on_sound)  # kept: the library holds only a bare pointer
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p

    def say(self, text: str, voice: str, manner: Manner) -> tuple[FloatArray, list[phones.Segment]]:
        """Sound [n] at `rate_hz` and its segments. Raises `ValueError` for an unknown voice."""
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"espeak-ng has no voice {voice}")
        for parameter, value in (
            (RATE, manner.words_per_minute),
            (PITCH, manner.pitch),
            (RANGE, manner.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._sound, self._phones = [], []
        data = text.encode() + b"\0"
        self._library.espeak_Synth(data, len(data), 0, 0, 0, UTF8, None, None)
        self._library.espeak_Synchronize()
        if not self._sound:
            return np.zeros(0, np.float32), []
        sound = np.concatenate(self._sound).astype(np.float32) / 32768
        return sound, self._segments(len(sound) / self.rate_hz)

    def phonemes(self, text: str, voice: str) -> str:
        """IPA of a text, a space between words and between clauses."""
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"espeak-ng has no voice {voice}")
        rest = ctypes.c_char_p(text.encode())
        clauses = []
        while rest.value:
            said = self._library.espeak_TextToPhonemes(ctypes.byref(rest), UTF8, IPA)
            clauses.append(bytes(said or b"").decode("utf8", "ignore"))
        return " ".join(clauses)

    def _segments(self, end_s: float) -> list[phones.Segment]:
        ends = [start for start, _ in self._phones[1:]] + [end_s]
        parts: list[phones.Segment] = []
        for (start_s, phone), stop_s in zip(self._phones, ends, strict=True):
            pause = not phone.strip("_ :;'ˈˌ|‖")
            names = ["sil"] if pause else phones.ipa(phone)
            if stop_s > start_s and names:
                parts += phones.segments(start_s, stop_s, names)
        return parts

    def _on_sound(self, samples: object, count: int, events: object) -> int:
        index = 0
        while (event := events[index]).type != EVENT_END:  # type: ignore[index]
            if event.type == EVENT_PHONE:
                name = bytes(event.id.string).decode("utf8", "ignore")
                self._phones.append((event.position_ms / 1000, name))
            index += 1
        if samples and count > 0:
            self._sound.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


def utterances(plan: Plan) -> Iterator[Utterance]:
    chance = random.Random(plan.seed)
    engine = Espeak()
    for _ in range(plan.espeak):
        language, variant = chance.choice(LANGUAGES), chance.choice(VARIANTS)
        text = texts.sentence(language, chance, plan.words)
        manner = Manner(chance.randint(120, 240), chance.randint(20, 80), chance.randint(20, 90))
        try:
            sound, parts = engine.say(text, f"{language}+{variant}", manner)
        except ValueError:
            continue  # languages differ between installations
        made = utterance(sound, engine.rate_hz, parts, f"espeak:{variant}")
        if made is not None:
            yield made
