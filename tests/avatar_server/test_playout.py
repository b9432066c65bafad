"""Media time is arithmetic: taps, offsets and the picture gate."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar_server.playout import (
    TICK_SAMPLES,
    LipSync,
    PictureFeed,
    PictureGate,
    PictureHold,
    SoundHold,
    Tap,
    Timeline,
    samples_of_ms,
    timeline_for,
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


@settings(max_examples=40)
@given(st.integers(-500, 500))
def test_an_offset_shifts_picture_against_sound_by_exactly_that(offset_ms: int) -> None:
    lip_sync, timeline = LipSync(160), timeline_for(160)
    lip_sync.set_offset(offset_ms)
    picture, sound = run(lip_sync, 560, timeline)
    shift = (picture - sound) - samples_of_ms(160)
    # Positive: the picture shows older sound, so it comes later.
    assert shift == pytest.approx(-samples_of_ms(offset_ms), abs=2)


@settings(max_examples=25)
@given(st.floats(40, 2500), st.sampled_from([-500, 500]))
def test_the_timeline_holds_the_largest_offset_at_any_latency(
    latency_ms: float, offset_ms: int
) -> None:
    lip_sync, timeline = LipSync(latency_ms), timeline_for(latency_ms)
    lip_sync.set_offset(offset_ms)
    run(lip_sync, 520, timeline)
    assert lip_sync.picture.at_rest
    assert lip_sync.sound.at_rest


@settings(max_examples=40)
@given(st.lists(st.integers(-500, 500), min_size=1, max_size=8))
def test_slewing_never_jumps(offsets_ms: list[int]) -> None:
    lip_sync, timeline = LipSync(160), timeline_for(160)
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


Changes = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 30)), min_size=1, max_size=6)


@given(Changes)
def test_held_pictures_keep_their_order_lose_none_and_reach_the_offset(
    changes: list[tuple[int, int]],
) -> None:
    """Each change is (offset in ms, pictures until the next one)."""
    hold, left, pts = PictureHold(), [], 0
    assert hold.passes(packet(0))
    for offset_ms, pictures in [*changes, (changes[-1][0], 80)]:
        hold.set_delay(offset_ms)
        for _ in range(pictures):
            pts += 1
            now_s = pts / 25
            left += [(now_s, p) for p in hold.take(now_s)]
            if hold.passes(packet(pts)):
                left.append((now_s, packet(pts)))
            else:
                hold.add(packet(pts), now_s)
                assert hold.next_due_s is not None
    left += [(hold.next_due_s, p) for p in hold.take(1e9)]
    stamps = [float(p.pts * p.time_base) for _, p in left]
    assert len(stamps) == pts
    steps = np.diff(stamps)
    assert steps.min(initial=0.04) > 0.04 * 0.79, "never faster than the slew"
    assert steps.max(initial=0.04) < 0.04 * 1.21, "never slower than the slew"
    assert stamps[-1] - pts / 25 == pytest.approx(changes[-1][0] / 1000, abs=1e-4)


@given(st.integers(0, 500))
def test_a_picture_leaves_when_its_own_stamp_says(offset_ms: int) -> None:
    hold = PictureHold()
    hold.set_delay(offset_ms)
    for pts in range(20):
        if hold.passes(packet(pts)):
            assert offset_ms == 0
            continue
        hold.add(packet(pts), 100 + pts / 25)
    waiting = hold.next_due_s
    if offset_ms:
        assert waiting == pytest.approx(100 + offset_ms / 1000)
        assert hold.take(waiting - 1e-6) == []
        assert [p.pts for p in hold.take(waiting)] == [90 * offset_ms]


@settings(max_examples=25)
@given(Changes)
def test_held_sound_slews_without_a_jump_and_is_exact_at_rest(
    changes: list[tuple[int, int]],
) -> None:
    hold, last, pts = SoundHold(), None, 0
    for offset_ms, ticks in [(0, 1), *changes, (changes[-1][0], 560)]:
        hold.set_delay(offset_ms)
        for _ in range(ticks):
            heard = hold.shift(np.arange(pts, pts + TICK_SAMPLES, dtype=np.float32))
            steps = np.diff(heard if last is None else np.concatenate([[last], heard]))
            if last is not None and last > 1:
                assert steps.min() > 0.8  # 0.95 in float32 of this size
                assert steps.max() < 1.2
            last, pts = heard[-1], pts + TICK_SAMPLES
    assert pts - 1 - last == samples_of_ms(changes[-1][0])
    assert hold.at_rest == (changes[-1][0] == 0)


def test_a_sink_that_begins_with_an_offset_has_it_from_the_first_sample() -> None:
    hold = SoundHold()
    hold.set_delay(100)
    heard = [hold.shift(np.full(TICK_SAMPLES, 7, np.float32)) for _ in range(6)]
    assert not np.concatenate(heard[:5]).any()
    assert heard[5].tolist() == [7] * TICK_SAMPLES


def test_what_a_held_sink_did_not_hear_yet_is_silenced() -> None:
    hold = SoundHold()
    hold.set_delay(200)
    for _ in range(20):
        hold.shift(np.ones(TICK_SAMPLES, np.float32))
    hold.silence()
    after = [hold.shift(np.zeros(TICK_SAMPLES, np.float32)) for _ in range(12)]
    assert not np.concatenate(after)[240:].any()


@settings(max_examples=40)
@given(st.lists(st.integers(-500, 500), min_size=1, max_size=6), st.integers(1, 40))
def test_a_tap_knows_when_it_read_what(offsets_ms: list[int], ticks: int) -> None:
    """Also while it slews: the signal's value is its own media time."""
    lip_sync, timeline = LipSync(160), timeline_for(160)
    pictures = [np.zeros(0, np.float32)]
    for offset_ms in offsets_ms:
        lip_sync.set_offset(offset_ms)
        for _ in range(ticks):
            timeline.append(np.arange(timeline.end_pts, timeline.end_pts + TICK_SAMPLES) + 1.0)
            pictures.append(lip_sync.picture.read(timeline, TICK_SAMPLES))
            lip_sync.sound.read(timeline, TICK_SAMPLES)
    picture = np.concatenate(pictures)
    for back_ms in (0, 30, 160, 700):
        sound_pts = max(timeline.end_pts - samples_of_ms(back_ms), TICK_SAMPLES)
        pts = lip_sync.picture.when(sound_pts)
        assert TICK_SAMPLES <= pts <= timeline.end_pts
        assert np.all(picture[pts + 1 :] >= sound_pts - 1), "what is later was read later"
        if pts < timeline.end_pts and pts > TICK_SAMPLES:
            assert np.all(picture[: pts - 1] <= sound_pts + 1)


def test_a_tap_that_read_nothing_has_nothing_to_take_back() -> None:
    assert Tap(0, 0.2).when(5000) == 0


def fed(feed: PictureFeed, first: int, count: int) -> list[int]:
    """The ticks that the worker got in each of so many."""
    got = []
    for number in range(first, first + count):
        feed.add(number * TICK_SAMPLES, np.ones(TICK_SAMPLES, np.float32))
        got += [pts // TICK_SAMPLES for pts, _ in feed.take()]
    return got


def came(feed: PictureFeed, early_ms: list[float]) -> None:
    for early in early_ms:
        feed.came(early / 1000)


def test_sound_waits_for_the_worker_as_long_as_pictures_come_early() -> None:
    feed = PictureFeed()
    assert fed(feed, 0, 3) == [0, 1, 2]
    came(feed, [50] * 249)
    assert feed.kept == 0
    came(feed, [50])
    assert feed.kept == 1
    assert fed(feed, 3, 3) == [3, 4]
    came(feed, [35] * 249 + [25])
    assert feed.kept == 1, "a tick more would have made one of them late"
    came(feed, [35] * 250)
    assert feed.kept == 2
    came(feed, [90] * 1000)
    assert feed.kept == PictureFeed.MOST


def test_one_picture_that_is_nearly_late_ends_the_waiting() -> None:
    feed = PictureFeed()
    came(feed, [50] * 500)
    assert fed(feed, 0, 4) == [0, 1]
    came(feed, [3])
    assert fed(feed, 4, 2) == [2, 3, 4, 5], "none is lost"
    came(feed, [50] * 249)
    assert feed.kept == 0


def test_sound_that_waits_can_be_taken_back() -> None:
    feed = PictureFeed()
    came(feed, [50] * 500)
    fed(feed, 0, 2)
    feed.silence_from(TICK_SAMPLES)
    came(feed, [0])
    first, second = feed.take()
    assert first[1].min() == 1
    assert not second[1][240:].any()
