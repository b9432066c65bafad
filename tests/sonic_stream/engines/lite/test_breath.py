"""Breath: 12 to 16 a minute, quicker in than out, after a phrase."""

from __future__ import annotations

import numpy as np

from sonic_stream.engines.lite.breath import Breath
from sonic_stream.engines.lite.chance import Dice
from sonic_stream.engines.lite.prosody import Cues
from tests.sonic_stream.engines.lite.talk import FPS, SILENT, cues_of


def chest(cues: list[Cues], seed: int = 1) -> np.ndarray:
    breath = Breath()
    return np.array([breath.step(Dice(seed, f), cue) for f, cue in enumerate(cues)])


def test_at_rest_the_rate_is_human_and_in_is_quicker_than_out() -> None:
    full = chest([SILENT] * 600 * FPS)
    peaks = np.flatnonzero((full[1:-1] > full[:-2]) & (full[1:-1] >= full[2:]))
    assert 12 <= len(peaks) / 10 <= 16
    assert np.diff(peaks).std() > 2  # pictures: never a metronome
    rising = np.diff(full) > 0
    assert 0.3 < rising.mean() < 0.5
    assert np.abs(np.diff(full, 2)).max() < 0.02, "no jerk"
    assert -0.01 < full.min() < full.max() < 1.1


def test_a_long_phrase_is_followed_by_a_breath() -> None:
    cues = cues_of(300)
    full = chest(cues)
    ends = [i for i, cue in enumerate(cues[:-10]) if cue.ended and cue.phrase_s > 1.5]
    assert len(ends) > 20
    deeper = [full[i + 9] > full[i] + 0.02 for i in ends]
    assert np.mean(deeper) > 0.9
    assert np.abs(np.diff(full)).max() < 0.1
