"""PURE. Level and gate of a microphone, in blocks of 20 ms."""

from __future__ import annotations

import numpy as np

from sonic_stream.media import FloatArray

TARGET_RMS = 0.1  # -20 dBFS while speaking
LIMIT = 0.9
MOST, LEAST = 8.0, 0.25
UP_PER_S, DOWN_PER_S = 2.0, 8.0  # the gain's change a second, as factors
OPEN_S, SHUT_S = 0.005, 0.08


class AutoGain:
    """A slow gain towards `TARGET_RMS` that listens to talk only; peaks stay below `LIMIT`."""

    def __init__(self, rate_hz: int = 48_000) -> None:
        self._rate_hz = rate_hz
        self._gain = 1.0
        self._last = 1.0

    def push(self, samples: FloatArray, *, talking: bool) -> FloatArray:
        if not len(samples):
            return samples
        rms = float(np.sqrt(np.mean(np.square(samples))))
        if talking and rms > 0:
            seconds = len(samples) / self._rate_hz
            wanted = min(max(TARGET_RMS / rms, LEAST), MOST)
            self._gain = min(
                max(wanted, self._gain * DOWN_PER_S**-seconds), self._gain * UP_PER_S**seconds
            )
        gain = min(self._gain, LIMIT / max(float(np.abs(samples).max()), 1e-6))
        ramp = np.linspace(self._last, gain, len(samples), dtype=np.float32)
        self._last = gain
        return np.clip(samples * ramp, -LIMIT, LIMIT)


class Gate:
    """Silence while nobody talks. The sound is delayed by 40 ms, so that the first consonant is
    still there when talk has been recognised by the vowel."""

    DELAY = 1920

    def __init__(self, rate_hz: int = 48_000) -> None:
        self._rate_hz = rate_hz
        self._delayed: FloatArray = np.zeros(self.DELAY, np.float32)
        self._gain = 0.0

    def push(self, samples: FloatArray, *, talking: bool) -> FloatArray:
        joined = np.concatenate([self._delayed, samples])
        out, self._delayed = joined[: len(samples)], joined[len(samples) :]
        step = 1 / (OPEN_S * self._rate_hz) if talking else -1 / (SHUT_S * self._rate_hz)
        ramp = np.clip(self._gain + step * np.arange(1, len(samples) + 1), 0.0, 1.0)
        self._gain = float(ramp[-1]) if len(ramp) else self._gain
        return np.asarray(out * ramp, np.float32)
