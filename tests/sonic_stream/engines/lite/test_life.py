"""The whole of life: no seam, no loop, no frozen second; human amounts; bounded by the scales."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.sounds import voice
from sonic_stream.avatars import load_avatar
from sonic_stream.engine import StreamOptions, load_engine
from sonic_stream.engines.lite.fields import INDEX
from sonic_stream.engines.lite.gaze import LARGE_DEG
from sonic_stream.engines.lite.life import GAZE_DEG, STEADIED, Life
from sonic_stream.engines.lite.motion import Motion, no_coefficients
from sonic_stream.engines.lite.prosody import Cues
from sonic_stream.media import AudioChunk, IdentityLatents
from tests.sonic_stream.engines.lite.talk import FPS, SILENT, cues_of

QUIET = (no_coefficients(), 0.0)
POSE = ("yaw_deg", "pitch_deg", "roll_deg", "shift_x", "shift_y")


def lived(cues: list[Cues], options: StreamOptions, first: int = 0) -> list[Motion]:
    life = Life(options)
    return [life.step(first + f, QUIET, cue, options) for f, cue in enumerate(cues)]


def poses(motions: list[Motion]) -> np.ndarray:
    """[frames, 5]"""
    return np.array([[getattr(motion, name) for name in POSE] for motion in motions])


@pytest.fixture(scope="module")
def talk_cues() -> list[Cues]:
    return cues_of(600)


@pytest.fixture(scope="module")
def talk_path(talk_cues: list[Cues]) -> np.ndarray:
    return poses(lived(talk_cues, StreamOptions(seed=3)))


@pytest.fixture(scope="module")
def rest_motions() -> list[Motion]:
    return lived([SILENT] * 600 * FPS, StreamOptions(seed=4))


def correlation(path: np.ndarray, lag: int) -> float:
    one, two = path[lag:] - path[lag:].mean(), path[:-lag] - path[:-lag].mean()
    return float((one * two).sum() / np.sqrt((one**2).sum() * (two**2).sum()))


def test_ten_minutes_of_silence_do_not_repeat(rest_motions: list[Motion]) -> None:
    path = poses(rest_motions)
    shut = np.array([motion.blink for motion in rest_motions])
    lags = range(10 * FPS, 300 * FPS, 7)
    for series, most in ((path[:, 0], 0.45), (path[:, 1], 0.45), (shut, 0.2)):
        assert max(correlation(series, lag) for lag in lags) < most
    looped = np.tile(path[: 60 * FPS, 0], 10)
    assert max(correlation(looped, lag) for lag in lags) > 0.9, "the measure sees a loop"


def test_no_second_of_silence_is_frozen(rest_motions: list[Motion]) -> None:
    path = poses(rest_motions)
    # At 512 px a degree of yaw moves the nose by about one pixel.
    spans = np.lib.stride_tricks.sliding_window_view(path[:, 0] + path[:, 4], FPS)
    assert np.quantile(np.ptp(spans, axis=1), 0.02) > 0.05
    assert np.ptp(spans, axis=1).min() > 0.005


def test_the_amount_of_motion_is_human(
    talk_cues: list[Cues], talk_path: np.ndarray, rest_motions: list[Motion]
) -> None:
    talking = np.array([cue.talking for cue in talk_cues])
    yaw, pitch, roll = talk_path[talking, :3].std(0)
    assert 1.7 < yaw < 3.2
    assert 1.0 < pitch < 2.6
    assert 0.8 < roll < 2.2
    rest = poses(rest_motions)[:, :3].std(0)
    assert (rest < [2.2, 1.3, 1.4]).all()
    speed = np.abs(np.diff(talk_path[:, :3], axis=0)) * FPS
    assert speed.max() < 60  # degrees a second
    assert np.median(speed[:, 0]) < 4


def test_speech_begins_and_ends_without_a_step(
    talk_cues: list[Cues], talk_path: np.ndarray
) -> None:
    """The acceleration in the pictures around a change against that within speech."""
    jerk = np.abs(np.diff(talk_path, 2, axis=0)).max(1)
    within = np.quantile(
        [j for j, cue in zip(jerk, talk_cues[1:-1], strict=True) if cue.talking], 0.99
    )
    edges = [i for i, cue in enumerate(talk_cues[2:-2], 2) if cue.began or cue.ended]
    assert len(edges) > 100
    at_edges = np.array([jerk[i - 2 : i + 2].max() for i in edges])
    assert np.median(at_edges) < within
    assert at_edges.max() < 2 * within


def test_a_nod_starts_with_the_stress_and_is_damped() -> None:
    answers = []
    for seed in range(40):
        stressed = [Cues(talking=True, activity=1.0, stress=1.0 * (f == 25)) for f in range(60)]
        plain = [Cues(talking=True, activity=1.0) for _ in range(60)]
        one, two = (poses(lived(c, StreamOptions(seed=seed)))[:, 1] for c in (stressed, plain))
        answers.append(one - two)
    nods = np.array([a for a in answers if np.abs(a).max() > 0.3])
    assert len(nods) > 30
    assert np.allclose(nods[:, :25], 0)
    assert (np.abs(nods[:, 26]) > 0.15).all()  # under way one picture later
    assert (np.abs(nods).argmax(1) < 25 + 7).all()
    swing = np.sign(nods.sum(1))[:, None] * nods
    assert swing.min() > -0.35, "no swinging back"
    assert np.mean(nods.sum(1) > 0) > 0.6, "mostly down"


def test_the_eyes_stay_on_the_camera_while_the_head_turns(talk_cues: list[Cues]) -> None:
    motions = lived(talk_cues, StreamOptions(seed=5))
    yaw = np.array([motion.yaw_deg for motion in motions])
    gaze = np.array([motion.gaze_x for motion in motions])
    in_world = gaze * GAZE_DEG[0] - STEADIED * yaw
    at_camera = np.abs(in_world) < LARGE_DEG
    assert at_camera.mean() > 0.85
    assert np.corrcoef(yaw[at_camera], gaze[at_camera])[0, 1] > 0.75
    assert np.abs(gaze).max() < 0.95


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 10**7), st.floats(0, 2))
def test_every_seed_is_repeatable_and_bounded(seed: int, first: int, amount: float) -> None:
    options = StreamOptions(seed=seed, motion_scale=amount)
    cues = cues_of(4, seed % 5)
    one, two = lived(cues, options, first), lived(cues, options, first)
    assert np.array_equal(poses(one), poses(two))
    assert [m.blink for m in one] == [m.blink for m in two]
    assert (np.abs(poses(one)) < [13, 9, 8, 8, 6]).all()
    for motion in one:
        assert -1 < motion.gaze_x < 1
        assert -1 < motion.gaze_y < 1
        lean, others = (
            motion.coefficients[INDEX["lean"]],
            np.delete(motion.coefficients, INDEX["lean"]),
        )
        assert -1 <= lean <= 1
        assert 0 <= others.min() <= others.max() <= 1.25


def test_no_motion_is_none_and_twice_is_more(talk_cues: list[Cues]) -> None:
    some = talk_cues[: 60 * FPS]
    for motion in lived(some, StreamOptions(motion_scale=0.0)):
        assert motion.blink == motion.gaze_x == motion.gaze_y == 0
        assert not motion.coefficients.any()
    assert not poses(lived(some, StreamOptions(motion_scale=0.0))).any()
    once = poses(lived(some, StreamOptions()))
    twice = poses(lived(some, StreamOptions(motion_scale=2.0)))
    assert (twice.std(0) > 1.6 * once.std(0)).all()


def test_life_leaves_the_lips_their_coefficients(talk_cues: list[Cues]) -> None:
    lips = no_coefficients()
    lips[INDEX["close"]], lips[INDEX["press"]], lips[INDEX["pucker"]] = 1.0, 0.55, 0.4
    life, options = Life(StreamOptions()), StreamOptions(expression="surprised")
    for frame, cue in enumerate(talk_cues[:200]):
        shown = life.step(frame, (lips, 0.0), cue, options).coefficients
        assert shown[INDEX["jaw"]] == 0
        assert shown[INDEX["close"]] == 1
        assert shown[INDEX["pucker"]] == pytest.approx(0.4)


@pytest.fixture(scope="module")
def portraits() -> tuple[IdentityLatents, IdentityLatents]:
    engine = load_engine("lite", size_px=128)
    return engine.prepare(load_avatar("mira")), engine.prepare(load_avatar("theo"))


def pushed(stream: object, first: int, count: int, *, render: bool = True) -> list[np.ndarray]:
    silence = AudioChunk(np.zeros(640 * count, np.float32), 16000, 640 * first)
    return [made.frames[0].astype(int) for made in stream.push(silence, render=render)]  # type: ignore[attr-defined]


def test_no_seam_shows_at_chunks_nor_where_speech_begins_and_ends(
    portraits: tuple[IdentityLatents, IdentityLatents],
) -> None:
    """How much each picture differs from the one before it, of three phrases with rests."""
    chunk, rate_hz = 5, 16_000
    samples = voice(12, rate_hz, seed=1).astype(np.float32)
    engine = load_engine("lite", size_px=128)
    stream = engine.open(portraits[0], StreamOptions(seed=1))
    pictures = [
        made.frames[0].astype(int)
        for start in range(0, len(samples), chunk * 640)
        for made in stream.push(AudioChunk(samples[start : start + chunk * 640], rate_hz, start))
    ]
    steps = np.array([np.abs(b - a).mean() for a, b in itertools.pairwise(pictures)])
    frame = np.arange(1, len(pictures))
    at_chunk = (frame + 2) % chunk == 0  # two pictures of look-ahead
    assert np.median(steps[at_chunk]) < 1.25 * np.median(steps[~at_chunk])
    assert steps[at_chunk].max() < 1.25 * steps[~at_chunk].max()
    time_s = frame * 0.04 % 4  # three seconds of talk, one of rest
    talking = (time_s > 0.3) & (time_s < 2.7)
    edge = (time_s < 0.2) | ((time_s > 2.9) & (time_s < 3.4))
    assert steps[edge].max() < 1.5 * steps[talking].max()  # phrases begin and end with a turn
    assert np.median(steps[talking]) > 1.05 * np.median(steps[time_s > 3.5]), (
        "the measure sees speech"
    )


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 9000), min_size=1, max_size=12), st.integers(0, 1000))
def test_any_chunking_gives_the_same_life(
    portraits: tuple[IdentityLatents, IdentityLatents], sizes: list[int], seed: int
) -> None:
    """Ten seconds of phrases and rests later, the pictures are equal to the bit."""
    samples = voice(10, 16_000, seed=2).astype(np.float32)
    last = len(samples) - 3200

    def shown(pieces: list[int]) -> np.ndarray:
        stream = load_engine("lite", size_px=128).open(portraits[1], StreamOptions(seed=seed))
        at, turn = 0, 0
        while at < last:
            piece = samples[at : min(at + pieces[turn % len(pieces)], last)]
            stream.push(AudioChunk(piece, 16_000, at), render=False)
            at, turn = at + len(piece), turn + 1
        chunks = stream.push(AudioChunk(samples[at:], 16_000, at))
        return np.concatenate([made.frames for made in chunks])

    assert np.array_equal(shown(sizes), shown([640]))


def test_another_portrait_fades_in_and_the_motion_goes_on(
    portraits: tuple[IdentityLatents, IdentityLatents],
) -> None:
    mira, theo = portraits
    engine = load_engine("lite", size_px=128)
    stream, other = (engine.open(who, StreamOptions(seed=2)) for who in (mira, theo))
    before, after = pushed(stream, 0, 20), pushed(other, 0, 60)
    stream.set_identity(theo)
    twin = stream.clone()
    shown = pushed(stream, 20, 12)
    offset = len(before)
    share = [np.abs(picture - after[offset + i]).mean() for i, picture in enumerate(shown)]
    assert all(later < earlier for earlier, later in itertools.pairwise(share[:6]))
    assert np.array_equal(shown[6], after[offset + 6])  # whole after 240 ms
    steps = np.abs(np.diff(np.array([before[-1], *shown]), axis=0)).mean((1, 2, 3))
    assert steps.max() < 0.3 * np.abs(before[-1] - after[offset]).mean()
    pushed(twin, 20, 3, render=False)  # pictures that nobody wants take their part of the fade
    assert np.array_equal(pushed(twin, 23, 1)[0], shown[3])


def test_a_change_of_mind_in_the_middle_of_a_fade_is_no_jump(
    portraits: tuple[IdentityLatents, IdentityLatents],
) -> None:
    mira, theo = portraits
    stream = load_engine("lite", size_px=128).open(mira, StreamOptions(seed=2))
    shown = pushed(stream, 0, 20)
    whole = np.abs(pushed(load_engine("lite", size_px=128).open(theo, StreamOptions()), 0, 4)[0]
                   - shown[0]).mean()  # fmt: skip
    for count, face in ((3, theo), (2, mira), (12, theo)):
        stream.set_identity(face)
        shown += pushed(stream, 20 + len(shown) - 18, count)
    steps = np.abs(np.diff(np.array(shown), axis=0)).mean((1, 2, 3))
    assert 0.05 * whole < steps.max() < 0.3 * whole


def test_a_portrait_set_before_the_first_picture_is_there_at_once(
    portraits: tuple[IdentityLatents, IdentityLatents],
) -> None:
    mira, theo = portraits
    engine = load_engine("lite", size_px=128)
    stream = engine.open(mira, StreamOptions(seed=2))
    stream.set_identity(theo)
    expected = pushed(engine.open(theo, StreamOptions(seed=2)), 0, 4)
    assert all(np.array_equal(a, b) for a, b in zip(pushed(stream, 0, 4), expected, strict=True))


def test_an_expression_asked_for_while_live_comes_without_a_step(
    portraits: tuple[IdentityLatents, IdentityLatents],
) -> None:
    engine = load_engine("lite", size_px=128)
    stream = engine.open(portraits[0], StreamOptions(seed=2))
    pushed(stream, 0, 12)
    still = engine.open(portraits[0], StreamOptions(seed=2))
    pushed(still, 0, 12)
    stream.configure(StreamOptions(seed=2, expression="happy"))
    happy, plain = pushed(stream, 12, 16), pushed(still, 12, 16)
    away = [np.abs(a - b).mean() for a, b in zip(happy, plain, strict=True)]
    assert away[-1] > 0.3
    assert max(np.diff([0.0, *away])) < 0.45 * away[-1]
