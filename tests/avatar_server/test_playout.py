"""Media time is arithmetic: taps, offsets and the picture gate."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_server.playout import (
    TICK_SAMPLES,
    LipSync,
    PictureGate,
    Tap,
    Timeline,
    samples_of_ms,
)
from sonic_stream.media import MediaPacket


def ramp(start: int, count: int) -> np.ndarray:
    """A signal whose value tells its own media time."""
    return (np.arange(start, start + count) / 1e6).astype(np.float32)


def run(lip_sync: LipSync, ticks: int, timeline: Timeline) -> tuple[float, float]:
    """Advance and return the media times (samples) of the last picture and sound samples."""
    picture = sound = np.zeros(1, np.float32)
    for _ in range(ticks):
        timeline.append(ramp(timeline.end_pts, TICK_SAMPLES))
        picture = lip_sync.picture.read(timeline, TICK_SAMPLES)
        sound = lip_sync.sound.read(timeline, TICK_SAMPLES)
    return float(picture[-1]) * 1e6, float(sound[-1]) * 1e6


def packet(pts: int, codec: str = "vp8") -> MediaPacket:
    return MediaPacket(codec, b"x", pts, Fraction(1, 25), keyframe=False)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=40), st.integers(0, 2000))
def test_timeline_reads_what_was_appended(sizes: list[int], back: int) -> None:
    timeline = Timeline(capacity=4000)
    for size in sizes:
        timeline.append(ramp(timeline.end_pts, size))
    start = timeline.end_pts - min(back, timeline.end_pts)
    count = timeline.end_pts - start
    assert np.array_equal(timeline.read(start, count), ramp(start, count))


def test_timeline_is_silent_before_time_zero_and_refuses_the_future() -> None:
    timeline = Timeline(capacity=1000)
    timeline.append(np.ones(10, np.float32))
    assert timeline.read(-5, 10).tolist() == [0] * 5 + [1] * 5
    with pytest.raises(ValueError, match="outside"):
        timeline.read(5, 6)
    with pytest.raises(ValueError, match="exceed"):
        timeline.append(np.zeros(1001, np.float32))


def test_silencing_fades_and_keeps_what_was_before() -> None:
    timeline = Timeline()
    timeline.append(np.ones(4800, np.float32))
    timeline.silence_from(1000, fade=240)
    heard = timeline.read(0, 4800)
    assert heard[:1000].min() == 1.0
    assert np.all(np.diff(heard[1000:1240]) < 0)
    assert not heard[1240:].any()


def test_a_resting_tap_gives_the_very_samples() -> None:
    timeline, tap = Timeline(), Tap(500, slew=0.05)
    for _ in range(5):
        timeline.append(ramp(timeline.end_pts, TICK_SAMPLES))
        got = tap.read(timeline, TICK_SAMPLES)
    assert np.array_equal(got, timeline.read(timeline.end_pts - 500 - TICK_SAMPLES, TICK_SAMPLES))


@given(st.integers(-200, 200))
def test_an_offset_shifts_picture_against_sound_by_exactly_that(offset_ms: int) -> None:
    lip_sync, timeline = LipSync(160), Timeline()
    lip_sync.set_offset(offset_ms)
    picture, sound = run(lip_sync, 300, timeline)
    shift = (picture - sound) - samples_of_ms(160)
    # Positive: the picture shows older sound, so it comes later.
    assert shift == pytest.approx(-samples_of_ms(offset_ms), abs=2)


@given(st.lists(st.integers(-200, 200), min_size=1, max_size=8))
def test_slewing_never_jumps(offsets_ms: list[int]) -> None:
    lip_sync, timeline = LipSync(160), Timeline()
    run(lip_sync, 20, timeline)
    last = None
    for offset_ms in offsets_ms:
        lip_sync.set_offset(offset_ms)
        for _ in range(30):
            timeline.append(ramp(timeline.end_pts, TICK_SAMPLES))
            lip_sync.picture.read(timeline, TICK_SAMPLES)
            sound = lip_sync.sound.read(timeline, TICK_SAMPLES) * 1e6
            steps = np.diff(sound if last is None else np.concatenate([[last], sound]))
            assert steps.min() > 0.9
            assert steps.max() < 1.1
            last = sound[-1]


def test_the_gate_holds_each_picture_until_its_instant() -> None:
    gate = PictureGate(160, Fraction(25))
    for pts in range(3):
        gate.add(packet(pts))
    assert gate.take(0.158) == []
    assert [p.pts for p in gate.take(0.160)] == [0]
    assert [p.pts for p in gate.take(0.300)] == [1, 2]
    gate.add(packet(3))
    assert [p.pts for p in gate.take(5.0)] == [3], "a late picture leaves at once"


def test_the_gate_is_bounded_and_keeps_order_per_codec() -> None:
    gate = PictureGate(160, Fraction(25), capacity=5)
    for pts in range(8):
        gate.add(packet(pts))
        gate.add(packet(pts, "h264"))
    early = gate.take(0.0)
    assert [p.pts for p in early if p.codec == "vp8"] == [0, 1, 2]
    assert [p.pts for p in early if p.codec == "h264"] == [0, 1, 2]
