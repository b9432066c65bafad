"""Blinks: a human's rate and shape, in the pauses, never regular."""

from __future__ import annotations

import numpy as np
import pytest

from sonic_stream.engines.lite.blinks import LASTS_S, Blinker, lid
from sonic_stream.engines.lite.chance import Dice
from sonic_stream.engines.lite.prosody import FRAME_S, Cues
from tests.sonic_stream.engines.lite.talk import FPS, SILENT, cues_of, rising

MINUTES = 30


def closures(cues: list[Cues], seed: int) -> np.ndarray:
    blinker = Blinker()
    return np.array([blinker.step(Dice(seed, f), cue, False) for f, cue in enumerate(cues)])


@pytest.fixture(scope="module")
def conversation() -> list[Cues]:
    return cues_of(MINUTES * 60)


def test_a_lid_falls_fast_and_rises_slowly_without_a_step() -> None:
    time_s = np.arange(0, LASTS_S, 0.001)
    closure = np.array([lid(t) for t in time_s])
    down_s = np.ptp(time_s[(closure < 1) & (time_s < 0.1)])
    up_s = np.ptp(time_s[(closure < 1) & (time_s > 0.1)])
    assert 0.06 < down_s < 0.10
    assert 0.15 < up_s < 0.22
    assert np.abs(np.diff(closure)).max() < 0.025
    assert lid(-1) == lid(0) == lid(LASTS_S) == 0


@pytest.mark.parametrize("seed", range(3))
def test_at_rest_the_rate_and_the_spread_are_human(seed: int) -> None:
    shut = closures([SILENT] * (MINUTES * 60 * FPS), seed)
    starts_s = rising(shut, 0.5)
    gaps_s = np.diff(starts_s)
    assert 14 < len(starts_s) / MINUTES < 20
    single = gaps_s[gaps_s > 1]
    assert single.min() >= 1.95  # two seconds, and a picture's rounding
    assert single.max() <= 10.0
    assert 2.8 < np.median(single) < 4.0
    assert np.mean(single) > 1.04 * np.median(single)  # skewed: many short, few long
    assert single.std() > 1.0
    assert np.mean(single < 2.15) < 0.12, "no favourite interval"
    doubles = gaps_s[gaps_s < 1]
    assert 0.04 < len(doubles) / len(gaps_s) < 0.16
    assert doubles.min() > LASTS_S  # open again before the second


def test_streams_of_different_seeds_begin_with_different_blinks() -> None:
    first_s = [rising(closures([SILENT] * 12 * FPS, seed), 0.5)[0] for seed in range(30)]
    assert min(first_s) > 0.9
    assert np.std(first_s) > 0.8


def test_every_blink_closes_the_eye_and_is_short(conversation: list[Cues]) -> None:
    shut = closures(conversation, 7)
    starts = (rising(shut, 0.3) / FRAME_S).astype(int)
    assert all(shut[s : s + 4].max() > 0.75 for s in starts[:-1])
    assert 0.02 < (shut > 0.5).mean() < 0.08


@pytest.mark.parametrize("seed", range(3))
def test_in_talk_blinks_are_more_and_gather_in_pauses(conversation: list[Cues], seed: int) -> None:
    starts_s = rising(closures(conversation, seed), 0.5)
    assert 17 < len(starts_s) / MINUTES < 26
    ends_s = np.array([i for i, cue in enumerate(conversation) if cue.ended]) * FRAME_S

    def near(moments_s: np.ndarray) -> float:
        away = starts_s[None] - moments_s[:, None]
        return float(((away > 0) & (away < 0.6)).any(1).mean())

    # Against 200 sets of moments of the same number, spread at random.
    rng = np.random.default_rng(seed)
    chance = [near(rng.uniform(0, MINUTES * 60, len(ends_s))) for _ in range(200)]
    assert near(ends_s) > max(chance) + 0.1


def test_a_look_aside_brings_blinks() -> None:
    count = 0
    for seed in range(200):
        blinker = Blinker()
        for frame in range(30):
            blinker.step(Dice(seed, frame), SILENT, False)
        count += any(blinker.step(Dice(seed, 30 + i), SILENT, i == 0) > 0.3 for i in range(4))
    assert 90 < count < 180
