"""The head: follows the eyes, turns with phrases, at differing speeds."""

from __future__ import annotations

import numpy as np

from sonic_stream.engines.lite.chance import Dice
from sonic_stream.engines.lite.gaze import LARGE_DEG, Gaze
from sonic_stream.engines.lite.head import YAW, Head
from sonic_stream.engines.lite.prosody import Cues
from tests.sonic_stream.engines.lite.talk import FPS, SILENT, cues_of

STRAIGHT = (0.0, 0.0)


def turned(
    cues: list[Cues], seed: int, looks: list[tuple[float, float]] | None = None
) -> np.ndarray:
    """Yaw by frame; the head sees where the eyes go, or straight ahead."""
    head = Head()
    looks = looks or [STRAIGHT] * len(cues)
    return np.array(
        [
            head.step(Dice(seed, f), c, at)[YAW]
            for f, (c, at) in enumerate(zip(cues, looks, strict=True))
        ]
    )


def test_the_eyes_lead_and_the_head_follows_a_part_of_the_way() -> None:
    gaze, cues = Gaze(), [SILENT] * 300 * FPS
    looks, sights = [], []
    for frame, cue in enumerate(cues):
        sights.append(gaze.step(Dice(5, frame), cue)[0])
        looks.append(gaze.target)
    follows = turned(cues, 5, looks) - turned(cues, 5)
    goals = np.array([x for x, _ in looks])
    starts = np.flatnonzero((np.abs(goals[1:]) > LARGE_DEG) & (np.abs(goals[:-1]) < LARGE_DEG)) + 1
    starts = [s for s in starts if np.abs(goals[s : s + 12]).min() > LARGE_DEG]
    assert len(starts) > 10
    for start in starts:
        goal = goals[start]
        assert abs(sights[start + 1] - goal) < 1.0  # the eyes are there in two pictures
        assert abs(follows[start + 1]) < 0.1 * abs(goal)  # the head has hardly begun
        share = -follows[start + 11] / goal  # to the nose's left is positive
        assert 0.15 < share < 0.35


def test_phrases_bring_turns() -> None:
    near, away = [], []
    for seed in range(5):
        cues = cues_of(200, seed)
        yaw = turned(cues, seed)
        change = np.abs(yaw[20:] - yaw[:-20])  # within 0.8 s
        edges = np.zeros(len(change), bool)
        edges[[i for i, cue in enumerate(cues[:-20]) if cue.began or cue.ended]] = True
        near.append(change[edges].mean())
        away.append(change.mean())
    assert np.mean(near) > 1.3 * np.mean(away)


def test_turns_are_of_differing_speed_and_never_jerk() -> None:
    yaw = turned([SILENT] * 300 * FPS, 2)
    speed = np.abs(np.diff(yaw)) * FPS
    assert speed.max() < 15  # degrees a second
    assert np.abs(np.diff(yaw, 2)).max() < 0.12
    peaks = speed[1:-1][
        (speed[1:-1] > speed[:-2]) & (speed[1:-1] > speed[2:]) & (speed[1:-1] > 1.5)
    ]
    assert len(peaks) > 20
    assert peaks.std() > 0.4 * peaks.mean()
