"""Expressions: blended without a step, from anything to anything; lips close whatever the mood."""

from __future__ import annotations

import numpy as np
import pytest

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import EXPRESSIONS, StreamOptions, load_engine
from sonic_stream.engines.lite.chance import Dice
from sonic_stream.engines.lite.expression import NAMES, TABLE, Mimic, Mood
from sonic_stream.engines.lite.fields import INDEX
from sonic_stream.engines.lite.identity import restore
from sonic_stream.engines.lite.life import Life
from sonic_stream.engines.lite.motion import Motion, no_coefficients
from sonic_stream.engines.lite.network import CHANNEL, CHANNELS
from sonic_stream.engines.lite.render import Renderer
from sonic_stream.engines.lite.rig import lips
from tests.sonic_stream.engines.lite.talk import SILENT, cues_of


def settled(expression: str, speech: dict[str, float] | None = None) -> Motion:
    """The motion of a stream opened with an expression, saying one thing."""
    options = StreamOptions(motion_scale=0.0, expression=expression)  # type: ignore[arg-type]
    said = (no_coefficients(), 0.0)
    if speech is not None:
        row = np.zeros(len(CHANNELS), np.float32)
        for name, value in {"speech": 1.0, **speech}.items():
            row[CHANNEL[name]] = value
        said = lips(row, 1.0)
    return Life(options).step(0, said, SILENT, options)


def test_an_unknown_expression_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="neutral, happy, serious, surprised"):
        StreamOptions(expression="bored")  # type: ignore[arg-type]


def test_neutral_adds_nothing() -> None:
    assert not TABLE[0].any()
    motion = settled("neutral")
    assert not motion.coefficients.any()
    assert (motion.lids, motion.pitch_deg, motion.gaze_y) == (0, 0, 0)


@pytest.mark.parametrize("start", EXPRESSIONS)
@pytest.mark.parametrize("end", EXPRESSIONS)
def test_a_change_takes_a_third_of_a_second_and_has_no_step(start: str, end: str) -> None:
    mood = Mood(start)  # type: ignore[arg-type]
    path = [mood.step(start).coefficients for _ in range(3)]  # type: ignore[arg-type]
    path += [mood.step(end).coefficients for _ in range(25)]  # type: ignore[arg-type]
    rows = np.array(path)
    whole = np.abs(rows[-1] - rows[0]).max()
    assert np.allclose(rows[2], TABLE[EXPRESSIONS.index(start), : len(NAMES)])  # type: ignore[arg-type]
    assert np.abs(np.diff(rows, axis=0)).max() <= 0.27 * whole + 1e-9
    if whole:
        assert np.abs(rows[2 + 8] - rows[-1]).max() < 0.06 * whole + 0.01
    # Interrupted halfway it goes on from where it is.
    mood.step("happy")
    before = mood.step("happy").coefficients
    after = mood.step("serious").coefficients
    assert np.abs(after - before).max() < 0.3


def test_each_expression_shows_in_its_own_way() -> None:
    happy, serious, surprised = (settled(e) for e in ("happy", "serious", "surprised"))
    assert happy.coefficients[INDEX["smile"]] > 0.5 > serious.coefficients[INDEX["smile"]]
    assert serious.coefficients[INDEX["brow_down"]] > 0.5
    assert surprised.coefficients[INDEX["brow_up"]] > 0.5
    assert happy.lids < 0 < surprised.lids


def test_brows_rise_with_stress_and_traces_come_and_go() -> None:
    cues, raised, other = cues_of(300), [], []
    mimic = Mimic()
    path = np.array([mimic.step(Dice(4, f), cue) for f, cue in enumerate(cues)])
    brow, smile = path[:, NAMES.index("brow_up")], path[:, NAMES.index("smile")]
    for frame, cue in enumerate(cues[5:-5], 5):
        (raised if cue.stress > 0.6 else other).append(brow[frame + 5] - brow[frame])
    assert np.mean(raised) > 0.08
    assert abs(np.mean(other)) < 0.02
    smiles = smile[::25]
    assert 0.02 < smiles.std() < 0.2
    assert 0 <= path.min() <= path.max() < 1.2
    assert np.abs(np.diff(smile)).max() < 0.02


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("avatar", ["mira", "nia", "theo"])
def test_lips_close_whatever_the_mood(avatar: str, expression: str) -> None:
    """The dark of an open mouth, against a closed one: m, b, p show none of it."""
    engine = load_engine("lite", size_px=256)
    latents = restore(engine.prepare(load_avatar(avatar)))
    renderer, patch = Renderer(latents), latents.mouth
    x, half = patch.x0 + patch.width // 2, int(0.5 * latents.half_width)
    box = np.s_[patch.y0 + 8 : patch.y0 + patch.height // 2 + 16, x - half : x + half]

    def dark(motion: Motion) -> int:
        light = renderer.render(motion)[box].astype(int).max(-1)
        return int((light < np.percentile(light, 50) * 0.45).sum())

    closed = settled(expression, {"close": 0.9, "jaw": 0.3, "jaw_loud": 0.3, "aperture": 0.1})
    opened = settled(expression, {"jaw": 0.8, "jaw_loud": 0.7, "aperture": 0.6})
    neutral = settled("neutral", {"close": 0.9, "jaw": 0.3, "jaw_loud": 0.3, "aperture": 0.1})
    assert closed.coefficients[INDEX["jaw"]] == pytest.approx(
        neutral.coefficients[INDEX["jaw"]], abs=0.02
    )
    assert dark(closed) <= dark(neutral) + 6
    assert dark(opened) > dark(closed) + 50
