"""PURE. Streaming log-mel features: 16 kHz sound to 42 values every 10 ms, no look-ahead.

Row i is made from the samples [(i + 1) * 160 - 400, (i + 1) * 160) (silence before 0). 80 mel
bands are pooled to 40 and taken relative to the loudest recent speech (a peak follower with a
slow release), so that the voice's level hardly matters; two more values tell that level.
"""

from __future__ import annotations

import copy

import numpy as np

from sonic_stream.media import FloatArray

RATE_HZ = 16_000
HOP = 160
WINDOW = 400
FFT = 512
BANDS = 80
POOLED = 40
ROW = POOLED + 2
LOG_FLOOR = 1e-7
LEVEL_FLOOR = -7.0  # natural logarithm of power: the quietest speech that counts
RELEASE = 0.02  # per row: 8.7 dB/s
BELOW, ABOVE = -9.0, 4.0  # range kept around the followed level
LOG_BANDS = float(np.log(BANDS))


def mel_matrix(low_hz: float = 50.0, high_hz: float = 7600.0) -> FloatArray:
    """[80, 257]: triangles on the mel scale, each of unit sum."""

    def mel(hz: float) -> float:
        return 2595 * float(np.log10(1 + hz / 700))

    edges = 700 * (10 ** (np.linspace(mel(low_hz), mel(high_hz), BANDS + 2) / 2595) - 1)
    bins = np.arange(FFT // 2 + 1) * RATE_HZ / FFT
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    weights = np.maximum(0, np.minimum(rise, fall))
    for band in np.where(weights.sum(1) == 0)[0]:  # narrower than a bin: take the nearest
        weights[band, round(edges[band + 1] / (RATE_HZ / FFT))] = 1
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


def log_mel(windows: FloatArray, mel: FloatArray, taper: FloatArray) -> FloatArray:
    """Natural log of mel power [n, 80] of windows [n, 400]; each as if it were alone."""
    spectrum = np.fft.rfft(windows * taper, FFT)
    power = (spectrum.real**2 + spectrum.imag**2) / (WINDOW * 0.375)
    # Row by row, for a product of matrices would round by how many there are.
    bands = np.array([mel @ row for row in power.astype(np.float32)])
    return np.asarray(np.log(bands + np.float32(LOG_FLOOR)))


def relative(rows: FloatArray, level: float) -> tuple[FloatArray, float]:
    """Log-mel rows [n, 80] and the level before them -> features [n, 42] and the level after."""
    peaks = rows.max(1, keepdims=True)
    loudness = (peaks[:, 0] + np.log(np.exp(rows - peaks).sum(1)) - LOG_BANDS).tolist()
    levels = []
    for loud in loudness:
        level = max(LEVEL_FLOOR, loud, level - RELEASE)
        levels.append(level)
    pooled = np.logaddexp(rows[:, ::2], rows[:, 1::2]) - 0.69
    followed = np.array(levels)
    out = np.empty((len(rows), ROW), np.float32)
    away = pooled - followed.astype(np.float32)[:, None]
    out[:, :POOLED] = (np.minimum(np.maximum(away, BELOW), ABOVE) + 4) / 2.5
    out[:, POOLED] = (np.minimum(np.maximum(loudness - followed, BELOW), 0.0) + 3) / 2
    out[:, POOLED + 1] = (followed + 7) / 3
    return out, level


class Features:
    """Stateful front end; equal for any chunking."""

    def __init__(self) -> None:
        self._mel = mel_matrix()
        self._taper = np.hanning(WINDOW).astype(np.float32)
        self.reset()

    def reset(self) -> None:
        self._pending: FloatArray = np.zeros(WINDOW - HOP, np.float32)
        self._level = LEVEL_FLOOR

    def push(self, samples: FloatArray) -> FloatArray:
        """float32 [n] at 16 kHz -> the rows that became due, [m, 42]."""
        pending = np.concatenate([self._pending, samples])
        count = (len(pending) - WINDOW + HOP) // HOP
        self._pending = pending[count * HOP :]
        if not count:
            return np.zeros((0, ROW), np.float32)
        windows = np.array([pending[i * HOP : i * HOP + WINDOW] for i in range(count)])
        rows, self._level = relative(log_mel(windows, self._mel, self._taper), self._level)
        return rows

    def clone(self) -> Features:
        return copy.copy(self)  # its arrays are never written to
