"""PURE. The edges of what a playlist gives: no clicks."""

from __future__ import annotations

import numpy as np

from sonic_stream.media import FloatArray

FADE_OUT, FADE_IN = 240, 96  # samples around a gap: 5 and 2 ms


class Join:
    """Keeps the edges of sound from clicking: a short fade where a gap ends, a short tail where
    one begins, and a gain that changes along one read."""

    def __init__(self) -> None:
        self.gain = 1.0
        self._silent = True
        self._last = 0.0
        self._tail: FloatArray = np.zeros(0, np.float32)

    def silence(self) -> None:
        """What came before is not heard any more."""
        self._silent, self._last = True, 0.0
        self._tail = self._tail[:0]

    def shape(self, out: FloatArray, filled: int, gain: float) -> FloatArray:
        """`out` [n], of which the first `filled` are sound, in place."""
        if gain != 1.0 or self.gain != 1.0:
            out *= np.linspace(self.gain, gain, len(out), dtype=np.float32)
            self.gain = gain
        if filled:
            if self._silent:
                count = min(FADE_IN, filled)
                out[:count] *= np.arange(count, dtype=np.float32) / FADE_IN
            self._last = float(out[filled - 1])
        if filled < len(out) and self._last:
            self._tail = self._last * np.linspace(1.0, 0.0, FADE_OUT, dtype=np.float32)
            self._last = 0.0
        count = min(len(self._tail), len(out) - filled)
        out[filled : filled + count] += self._tail[:count]
        self._tail = self._tail[count:]
        self._silent = filled < len(out)
        return out
