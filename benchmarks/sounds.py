"""Sounds for measuring: beeps, and a synthetic voice with pauses."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt


def beeps(
    seconds: float, rate_hz: int = 48_000, period_s: float = 1.013
) -> npt.NDArray[np.float64]:
    """A 60 ms beep of 1 kHz each period, starting after half of one; silence between. The period
    is no multiple of a frame, so that beeps begin anywhere within a picture's 40 ms."""
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    phase = (time + period_s / 2) % period_s
    return np.where(phase < 0.06, 0.5 * np.sin(2 * np.pi * 1000 * time), 0.0)


def voice(seconds: float, rate_hz: int = 48_000, seed: int = 0) -> npt.NDArray[np.float64]:
    """Vowel-like sounds in syllables of 0.2 s, three seconds of talk and one of rest."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    pitch_hz = 120 + 15 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
    formants = rng.uniform([300, 900], [800, 2300], (int(seconds * 5) + 1, 2))
    sound = np.zeros_like(time)
    for harmonic in range(1, 30):
        hz = harmonic * pitch_hz
        syllable = formants[(time * 5).astype(int)]
        gain = sum(np.exp(-(((hz - syllable[:, i]) / 150) ** 2)) for i in (0, 1))
        sound += gain * np.sin(harmonic * phase)
    envelope = np.clip(np.sin(np.pi * (time * 5 % 1)), 0, 1) * (time % 4 < 3)
    return 0.3 * envelope * sound / max(np.abs(sound).max(), 1e-9)


def write_wav(path: Path, samples: npt.NDArray[np.float64], rate_hz: int = 48_000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
