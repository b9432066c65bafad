"""Gaze: on the camera nearly always, moving in saccades, aside to think."""

from __future__ import annotations

import numpy as np
import pytest

from sonic_stream.engines.lite.chance import Dice
from sonic_stream.engines.lite.gaze import LARGE_DEG, Gaze, saccade_s
from sonic_stream.engines.lite.prosody import Cues
from tests.sonic_stream.engines.lite.talk import FPS, SILENT, cues_of


def looks(cues: list[Cues], seed: int) -> np.ndarray:
    gaze = Gaze()
    return np.array([gaze.step(Dice(seed, f), cue) for f, cue in enumerate(cues)])


def test_saccades_follow_the_main_sequence() -> None:
    assert 0.02 < saccade_s(1) < 0.03
    assert 0.04 < saccade_s(12) < 0.06


@pytest.mark.parametrize("seed", range(3))
def test_the_camera_is_looked_at_most_of_all_while_talking(seed: int) -> None:
    cues = cues_of(600)
    talking = np.array([cue.talking for cue in cues])
    aside = np.hypot(*looks(cues, seed).T) > LARGE_DEG
    idle_aside = np.hypot(*looks([SILENT] * 600 * FPS, seed).T) > LARGE_DEG
    assert 0.01 < aside[talking].mean() < 0.15
    assert 0.02 < idle_aside.mean() < 0.15
    runs = np.diff(np.flatnonzero(np.diff(aside.astype(int))))
    assert runs.max() < 60 * FPS
    # A look aside is short: it comes back.
    lengths = [len(part) for part in "".join("x" if a else " " for a in aside).split()]
    assert max(lengths) < 2.2 * FPS


def test_phrases_begin_with_more_looks_aside_than_they_go_on_with() -> None:
    begins, starts, frames, talked = 0, 0, 0, 0
    for seed in range(10):
        cues, gaze = cues_of(200, seed), Gaze()
        for frame, cue in enumerate(cues):
            gaze.step(Dice(seed, frame), cue)
            aside = gaze.looked_aside and np.hypot(*gaze.target) > LARGE_DEG
            begins, starts = begins + cue.began, starts + (cue.began and aside)
            talked += cue.talking and not cue.began
            frames += cue.talking and not cue.began and aside
    assert 0.2 < starts / begins < 0.45
    assert frames / talked * FPS < 0.1  # a second


def test_fixations_are_still_and_moves_are_quick() -> None:
    speed = np.abs(np.diff(looks([SILENT] * 300 * FPS, 1), axis=0)).max(1)
    assert np.median(speed) < 0.12  # degrees a picture
    moving = speed > 3.0
    lengths = [len(part) for part in "".join("x" if m else " " for m in moving).split()]
    assert max(lengths) <= 2  # pictures
