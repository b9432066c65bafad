"""The body: sways slowly, with the head, and more in talk; with nothing but the person."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import load_engine
from sonic_stream.engines.lite.background import Scene
from sonic_stream.engines.lite.chance import Dice
from sonic_stream.engines.lite.head import SHIFT_X, YAW, Head
from sonic_stream.engines.lite.identity import restore
from sonic_stream.engines.lite.prosody import Cues
from sonic_stream.engines.lite.torso import Torso
from tests.sonic_stream.engines.lite.mouths import speaking
from tests.sonic_stream.engines.lite.talk import FPS, SILENT, cues_of

SIZE = 256


def swayed(cues: list[Cues], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How far the body leans, and the head's shift, by frame."""
    head, torso = Head(), Torso()
    shifts, leans = [], []
    for frame, cue in enumerate(cues):
        dice = Dice(seed, frame)
        pose = head.step(dice, cue, (0.0, 0.0))
        shifts.append(pose[SHIFT_X])
        leans.append(torso.step(dice, cue, pose[YAW], pose[SHIFT_X]))
    return np.array(leans), np.array(shifts)


def test_it_sways_slowly_more_in_talk_and_along_with_the_head() -> None:
    rest = [swayed([SILENT] * 180 * FPS, seed) for seed in range(5)]
    talk = [swayed(cues_of(180, seed), seed) for seed in range(5)]
    for leans, _ in rest + talk:
        assert 0.12 < leans.std() < 0.6
        assert np.abs(np.diff(leans)).max() < 0.04
    assert np.mean([np.corrcoef(*both)[0, 1] for both in rest + talk]) > 0.2
    assert np.mean([leans.std() for leans, _ in talk]) > np.mean([leans.std() for leans, _ in rest])


@pytest.mark.parametrize("side", [-1, 1])
def test_all_of_the_person_goes_along_and_nothing_else(side: int) -> None:
    latents = restore(load_engine("lite", size_px=SIZE).prepare(load_avatar("mira")))
    scene = Scene(latents, "keep", alpha=False)
    rest, leant = (scene.render(speaking(lean=lean))[0] for lean in (0.0, side))
    head = slice(SIZE // 8, SIZE // 2)
    step, _ = cv2.phaseCorrelate(
        *(
            cv2.cvtColor(picture[head], cv2.COLOR_RGB2GRAY).astype(float)
            for picture in (rest, leant)
        ),
        cv2.createHanningWindow((SIZE, head.stop - head.start), cv2.CV_64F),
    )
    assert 1.5 < side * step[0] < 6
    assert abs(step[1]) < 0.5
    changed = np.abs(rest.astype(int) - leant).max(-1) > 2
    far = cv2.dilate((latents.matte > 0).astype(np.uint8), np.ones((31, 31))) == 0
    assert not changed[far].any()
    assert changed[7 * SIZE // 8 :].any(), "the chest too"


def test_a_background_that_would_come_along_keeps_the_body_where_it_is() -> None:
    portrait = replace(load_avatar("mira"), matte=None)
    latents = restore(load_engine("lite", size_px=SIZE).prepare(portrait))
    scene = Scene(latents, "keep", alpha=False)
    rest, leant = (scene.render(speaking(lean=lean))[0] for lean in (0.0, 1.0))
    assert np.array_equal(rest, leant)
