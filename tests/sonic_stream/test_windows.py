"""The sliding window's bookkeeping."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_stream.media import AudioChunk, EngineSpec
from sonic_stream.windows import FrameClock

specs = st.builds(
    lambda hop, context, ahead: EngineSpec("x", 16000, Fraction(25), 64, hop, context, ahead),
    st.integers(1, 8), st.integers(0, 20), st.integers(0, 4000),
)  # fmt: skip


def silence(samples: int, pts: int) -> AudioChunk:
    return AudioChunk(np.zeros(samples, np.float32), 16000, pts)


@given(specs, st.lists(st.integers(0, 3000), max_size=30), st.integers(0, 50))
def test_frames_are_due_exactly_when_the_spec_says(
    spec: EngineSpec, sizes: list[int], origin: int
) -> None:
    clock, pushed, expected = FrameClock(spec), 0, origin
    for size in sizes:
        due = clock.push(silence(size, origin * spec.samples_per_frame + pushed))
        pushed += size
        assert list(due) == list(range(expected, origin + spec.frames_ready(pushed)))
        assert len(due) % spec.hop_frames == 0
        expected += len(due)


@given(specs, st.integers(0, 20000), st.data())
def test_any_chunking_gives_the_same_frames(
    spec: EngineSpec, total: int, data: st.DataObject
) -> None:
    whole = FrameClock(spec).push(silence(total, 0))
    clock, at, seen = FrameClock(spec), 0, []
    while at < total:
        size = data.draw(st.integers(1, total - at))
        seen += clock.push(silence(size, at))
        at += size
    assert seen == list(whole)


@given(specs, st.integers(1, 20000))
def test_padding_shows_all_that_was_heard_and_no_hop_more(spec: EngineSpec, total: int) -> None:
    clock = FrameClock(spec)
    made = len(clock.push(silence(total, 0)))
    padding = clock.padding()
    assert padding is not None
    assert padding.pts == total
    made += len(clock.push(padding))
    hop = spec.hop_frames * spec.samples_per_frame
    assert made == -(-total // hop) * spec.hop_frames


def test_a_clock_that_heard_nothing_needs_no_padding() -> None:
    assert FrameClock(EngineSpec("x", 16000, Fraction(25), 64, 1, 0, 0)).padding() is None


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (AudioChunk(np.zeros(4, np.float32), 48000, 0), "16000 Hz, not 48000"),
        (silence(4, 3), "whole frame, not at sample 3"),
    ],
    ids=["rate", "origin"],
)
def test_what_cannot_continue_is_refused(chunk: AudioChunk, message: str) -> None:
    clock = FrameClock(EngineSpec("x", 16000, Fraction(25), 64, 1, 0, 0))
    with pytest.raises(ValueError, match=message):
        clock.push(chunk)


@pytest.mark.parametrize("pts", [639, 641])
def test_gaps_and_overlaps_are_refused(pts: int) -> None:
    clock = FrameClock(EngineSpec("x", 16000, Fraction(25), 64, 1, 0, 0))
    clock.push(silence(640, 0))
    with pytest.raises(ValueError, match="continue at sample 640"):
        clock.push(silence(10, pts))
