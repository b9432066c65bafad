"""What a linear reading of the spectrum can know about a mouth: the benchmark's strong baseline.

Ridge regression from 32 log-mel bands, 200 ms of context on either side (it hears the future), to
the standardised aperture. Fitted while the benchmark runs, on the clips given, each time without
those of the speaker it is then asked about. Nothing of it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sonic_stream.media import FloatArray

Series = npt.NDArray[np.float64]
RATE_HZ, HOP, WINDOW, BANDS = 16_000, 320, 512, 32
CONTEXT, STRIDE = 10, 2  # rows of 20 ms
PENALTY = 3000.0
DYNAMIC_RANGE = 9.0  # natural logarithm of power below the loudest


@dataclass(frozen=True)
class Example:
    """`measured` aperture at `times_s`, 0 being the first sample of `audio`."""

    name: str
    audio: FloatArray
    times_s: Series
    measured: Series

    @property
    def speaker(self) -> str:
        """Clips that differ by a trailing number alone count as one speaker's."""
        return re.sub(r"_\d+$", "", self.name)


def mel(hz: Series | float) -> Series:
    return np.asarray(2595 * np.log10(1 + np.asarray(hz) / 700))


def log_mel(audio: FloatArray) -> Series:
    """Log-mel [n, 32]; row i is centred at 20 i ms."""
    sound = audio.astype(float) * 0.1 / (float(np.sqrt(np.mean(audio.astype(float) ** 2))) + 1e-9)
    sound = np.append(sound[0], sound[1:] - 0.97 * sound[:-1])
    padded = np.pad(sound, (WINDOW // 2, WINDOW // 2 + HOP))
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(windows * np.hanning(WINDOW), WINDOW)) ** 2
    places = np.linspace(float(mel(60)), float(mel(7600)), BANDS + 2)
    edges = 700 * (10 ** (places / 2595) - 1)
    bins = np.fft.rfftfreq(WINDOW, 1 / RATE_HZ)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.asarray(np.log(power @ np.maximum(0, np.minimum(rise, fall)).T + 1e-6))


def rows(audio: FloatArray) -> tuple[Series, Series]:
    """Times in s [n] and inputs [n, 32 * 11 + 1], standardised over the clip."""
    bands = log_mel(audio)
    bands = np.maximum(bands, np.percentile(bands, 95) - DYNAMIC_RANGE)
    bands = (bands - bands.mean(0)) / (bands.std(0) + 1e-3)
    padded = np.pad(bands, ((CONTEXT, CONTEXT), (0, 0)), mode="edge")
    shifts = range(0, 2 * CONTEXT + 1, STRIDE)
    inputs = np.hstack([padded[k : k + len(bands)] for k in shifts] + [np.ones((len(bands), 1))])
    return np.arange(len(bands)) * HOP / RATE_HZ, inputs


def leave_one_out(examples: Sequence[Example]) -> dict[str, tuple[Series, Series]]:
    """For each clip times in s and an aperture, by a regression that never met its speaker."""
    inputs, moments = {}, {}
    for example in examples:
        times_s, given = inputs[example.name] = rows(example.audio)
        seen = (times_s >= example.times_s[0]) & (times_s <= example.times_s[-1])
        true = np.interp(times_s[seen], example.times_s, example.measured)
        true = (true - true.mean()) / (true.std() + 1e-9)
        moments[example.name] = (given[seen].T @ given[seen], given[seen].T @ true)
    penalty = PENALTY * np.eye(BANDS * (2 * CONTEXT // STRIDE + 1) + 1)
    penalty[-1, -1] = 0
    said = {}
    for asked in examples:
        others = [moments[e.name] for e in examples if e.speaker != asked.speaker]
        square = penalty + sum(pair[0] for pair in others)
        weights = np.linalg.solve(square, sum((pair[1] for pair in others), np.zeros(len(penalty))))
        times_s, given = inputs[asked.name]
        said[asked.name] = times_s, np.asarray(given @ weights)
    return said
