"""Stands in for the package kokoro, whose weights are not in any package: of its shape, with a
tone for a voice. Loaded in the voice's own process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

if "NO_KOKORO_WEIGHTS" in os.environ:
    raise OSError("the hub cannot be reached")


class KPipeline:
    def __init__(self, lang_code: str) -> None:
        print("this package talks")  # what would be taken for sound
        assert lang_code == "a"

    def __call__(self, text: str, voice: str, speed: float) -> Iterator[SimpleNamespace]:
        if text.startswith("Die"):
            os._exit(1)
        if text.startswith("Fail"):
            raise ValueError("no such phoneme")
        audio = 0.3 * np.sin(2 * np.pi * 440 * np.arange(12_000) / 24_000, dtype=np.float32)
        token = SimpleNamespace(text="Hello", start_ts=0.25)
        comma = SimpleNamespace(text=",", start_ts=None)
        yield SimpleNamespace(audio=audio, tokens=[token, comma])
        yield SimpleNamespace(audio=None, tokens=None)
        token = SimpleNamespace(text="you", start_ts=0.1)
        yield SimpleNamespace(audio=audio, tokens=[token])
