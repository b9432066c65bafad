"""Sound that is taken back: the lips close from where they are, and nothing else jumps."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.sounds import voice
from sonic_stream.avatars import load_avatar
from sonic_stream.engine import StreamOptions
from sonic_stream.engines.lite.engine import LiteEngine, LiteStream
from sonic_stream.engines.lite.fields import INDEX
from sonic_stream.engines.lite.hearing import FADE_SAMPLES, PAST_SAMPLES, Hearing
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.engines.lite.network import MotionNet
from sonic_stream.media import AudioChunk, FloatArray
from sonic_stream.smoothing import faded

TALK = voice(2.4, 16000).astype(np.float32)
TICK = 320
AHEAD_MS = 160  # of sound that the engine has and nobody has heard


@pytest.fixture(scope="module")
def net() -> MotionNet:
    return MotionNet.load()


def told(
    hearing: Hearing, samples: FloatArray, size: int = TICK
) -> list[tuple[bytes, list[float], str]]:
    """What is known of each frame that the sound makes due."""
    frames = []
    for at in range(0, len(samples), size):
        hearing.hear(samples[at : at + size])
        frames += [
            (row.tobytes(), hearing.levels_db(), repr(hearing.height())) for row in hearing.speak()
        ]
    return frames


@pytest.mark.parametrize("size", [TICK, 77, 640])
@pytest.mark.parametrize("count", [1, 320, 2560, 4001, PAST_SAMPLES])
def test_it_is_as_if_there_had_been_silence(net: MotionNet, count: int, size: int) -> None:
    hearing, never = Hearing(net), Hearing(net)
    heard, rest = TALK[:24000], TALK[24000:]
    before = told(hearing, heard, size)
    hearing.silence(count)
    told(never, faded(heard, len(heard) - count, FADE_SAMPLES))
    assert len(before) == (24000 - 1280) // 640, "what was told is not told again"
    assert told(hearing, rest) == told(never, rest)


def test_a_second_time_and_a_clone_is_left_alone(net: MotionNet) -> None:
    hearing, never = Hearing(net), Hearing(net)
    heard, rest = TALK[:24000], TALK[24000:]
    told(hearing, heard)
    told(never, faded(heard, len(heard) - 2560, FADE_SAMPLES))
    twin, untouched = hearing.clone(), hearing.clone()
    hearing.silence(2560)
    hearing.silence(2560 - FADE_SAMPLES)  # of it nothing was left
    assert told(hearing, rest) == told(never, rest)
    assert told(twin, rest) == told(untouched, rest) != told(never.clone(), rest)


def test_what_is_no_longer_remembered_stays_heard(net: MotionNet) -> None:
    hearing, ahead = Hearing(net), (24000 - 1280) // 640
    told(hearing, TALK[:24000])
    hearing.silence(10**6)
    assert sum(len(piece.samples) for piece in hearing._past) <= PAST_SAMPLES + TICK
    assert len(told(hearing, TALK[24000:])) == (len(TALK) - 1280) // 640 - ahead


class Interrupted:
    """Motions of a stream that is silenced after `ticks`, and those of one that is not."""

    def __init__(self, ticks: int) -> None:
        engine = LiteEngine(size_px=128)
        stream = engine.open(engine.prepare(load_avatar("mira")), StreamOptions(seed=5))
        before = self.moved(stream, TALK[: ticks * TICK], 0)
        self.talking = stream.clone()
        stream.silence_from(ticks * TICK - AHEAD_MS * 16)
        rest = np.zeros(16000, np.float32)
        self.last = before[-1]
        self.after = self.moved(stream, rest, ticks * TICK)
        self.undisturbed = self.moved(self.talking, TALK[ticks * TICK :], ticks * TICK)

    def moved(self, stream: LiteStream, samples: FloatArray, start: int) -> list[Motion]:
        motions: list[Motion] = []
        step = stream._move

        def recorded(row: FloatArray, pts: int) -> Motion:
            motions.append(step(row, pts))
            return motions[-1]

        stream._move = recorded  # type: ignore[method-assign]
        for at in range(0, len(samples), TICK):
            chunk = AudioChunk(samples[at : at + TICK], 16000, start + at)
            stream.push(chunk, render=False)
        del stream._move
        return motions


@pytest.mark.parametrize("ticks", [57, 80, 86, 92])
def test_the_mouth_closes_within_two_pictures_and_without_a_jump(ticks: int) -> None:
    interrupted = Interrupted(ticks)
    opening = [INDEX["jaw"], INDEX["lower_down"], INDEX["upper_up"]]
    wide = float(interrupted.last.coefficients[opening].sum())
    curve = [float(m.coefficients[opening].sum()) for m in interrupted.after]
    assert wide > 0.1, "talking"
    assert 0.3 * wide < curve[0] < 0.6 * wide
    assert curve[1] < 0.2 * wide
    assert max(curve[3:]) < 0.02
    for name in ("yaw_deg", "pitch_deg", "roll_deg", "shift_x", "shift_y"):
        path = [getattr(motion, name) for motion in interrupted.after[:3]]
        undisturbed = [getattr(motion, name) for motion in interrupted.undisturbed[:3]]
        assert path == pytest.approx(undisturbed, abs=0.05), name
