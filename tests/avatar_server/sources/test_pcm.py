"""PCM of any format in any pieces, and a segment of it as a source."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar_server.sources.pcm import HIGH_WATER_S, PcmFormat, PcmSegment, Unpacker
from tests.avatar_server.sources.contract import RATE_HZ, check_source, tasks


def packed(form: PcmFormat, samples: np.ndarray) -> bytes:
    channels = np.repeat(samples[:, None], form.channels, axis=1)
    if form.sample == "s16":
        return (np.round(channels * 32768).clip(-32768, 32767)).astype("<i2").tobytes()
    return channels.astype("<f4").tobytes()


def tone(rate_hz: int, seconds: float = 1.0, hz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate_hz)) / rate_hz)


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
@pytest.mark.parametrize(("sample", "channels"), [("s16", 1), ("s16", 2), ("f32", 1), ("f32", 2)])
def test_every_format_keeps_its_length_tune_and_level(
    rate_hz: int, sample: str, channels: int
) -> None:
    form = PcmFormat(rate_hz, sample, channels)  # type: ignore[arg-type]
    unpacker = Unpacker(form)
    sound = np.concatenate([unpacker.push(packed(form, tone(rate_hz))), unpacker.flush()])
    assert len(sound) == RATE_HZ
    wanted = tone(RATE_HZ)
    assert np.abs(sound - wanted)[960:-960].max() < 2e-4
    assert sound.dtype == np.float32


@given(
    rate_hz=st.integers(8000, 48_000),
    sample=st.sampled_from(["s16", "f32"]),
    channels=st.sampled_from([1, 2]),
    cuts=st.lists(st.integers(0, 3000), max_size=20),
)
@settings(max_examples=40, deadline=None)
def test_the_chunking_changes_nothing(
    rate_hz: int, sample: str, channels: int, cuts: list[int]
) -> None:
    form = PcmFormat(rate_hz, sample, channels)  # type: ignore[arg-type]
    data = packed(form, tone(rate_hz, 0.05))
    whole, cut = Unpacker(form), Unpacker(form)
    pieces = []
    for at in cuts:
        pieces.append(cut.push(data[:at]))
        data = data[at:]
    pieces += [cut.push(data), cut.flush()]
    wanted = [whole.push(packed(form, tone(rate_hz, 0.05))), whole.flush()]
    assert np.array_equal(np.concatenate(pieces), np.concatenate(wanted))


def test_floats_that_are_no_sound_do_no_harm() -> None:
    data = np.array([np.nan, np.inf, -np.inf, 7.0, -7.0, 0.5], "<f4").tobytes()
    sound = Unpacker(PcmFormat(48_000, "f32")).push(data)
    assert sound.tolist() == [0.0, 1.0, -1.0, 1.0, -1.0, 0.5]


def test_half_a_sample_at_the_end_is_dropped() -> None:
    unpacker = Unpacker(PcmFormat(48_000, "s16", 2))
    assert len(unpacker.push(b"\0" * 7)) == 1
    assert len(unpacker.flush()) == 0
    assert len(unpacker.push(b"\0" * 4)) == 1


async def filled(changes: list[tuple[int, bool]] | None = None) -> PcmSegment:
    """An ended segment of a second."""

    def changed(segment: PcmSegment, pts: int) -> None:
        if changes is not None:
            changes.append((segment.heard_samples, segment.interrupted))

    form = PcmFormat(24_000)
    segment = PcmSegment(form, 0, changed)
    await segment.push(packed(form, tone(24_000)))
    segment.end()
    return segment


async def test_a_segment_is_a_source() -> None:
    await check_source(filled)


async def test_a_segment_is_over_when_it_was_heard_and_not_before() -> None:
    changes: list[tuple[int, bool]] = []
    segment = await filled(changes)
    segment.read(RATE_HZ)
    assert segment.finished
    assert not segment.over
    segment.heard(RATE_HZ, 2 * RATE_HZ)
    assert segment.over
    assert changes == [(RATE_HZ, False)]


async def test_what_comes_after_an_interruption_is_dropped() -> None:
    segment = PcmSegment(PcmFormat(48_000), 0, lambda *_: None)
    await segment.push(b"\1\0" * 9600)
    segment.read(960)
    assert segment.interrupt(480, 0).seconds == 0.01
    await segment.push(b"\1\0" * 9600)
    segment.end()
    assert segment.over
    assert not segment.read(960).any()


async def test_a_client_that_is_too_fast_waits() -> None:
    segment = PcmSegment(PcmFormat(8000), 0, lambda *_: None)
    ten = b"\1\0" * int(8000 * HIGH_WATER_S)
    pushing = asyncio.create_task(segment.push(ten + ten))
    await asyncio.sleep(0.05)
    assert not pushing.done()
    segment.read(int(RATE_HZ * HIGH_WATER_S) // 2)
    await asyncio.sleep(0.05)
    assert not pushing.done(), "still more than the mark"
    segment.read(int(RATE_HZ * HIGH_WATER_S) // 2 + RATE_HZ)
    await asyncio.wait_for(pushing, 1)
    assert not tasks()
