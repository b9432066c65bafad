"""Captions that change their mind, as the lines of a file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_server.sinks.caption_track import CaptionTrack, Line

TIMES = st.integers(-3000, 9000)
TOLD = st.tuples(st.sampled_from(["", "a", "b"]), TIMES, TIMES, st.booleans())


def test_a_webm_has_each_line_once_when_it_is_sure() -> None:
    track = CaptionTrack(on_time=False)
    assert track.told("a", (1000, 5000), 1000, final=False) == []
    assert track.told("a", (1000, 2500), 2500, final=True) == [Line("a", 1000, 1500)]
    assert track.told("b", (2500, 3000), 3100, final=True) == [Line("b", 2500, 500)]


def test_an_mp4_has_it_as_it_begins_and_nothing_overlaps() -> None:
    track = CaptionTrack(on_time=True)
    assert track.told("a", (1000, 5000), 1010, final=False) == [Line("a", 1010, 3990)]
    assert track.told("a", (1000, 5200), 3000, final=False) == []
    assert track.told("a", (1000, 3500), 3510, final=True) == []
    assert track.told("b", (4000, 6000), 4000, final=False) == [Line("b", 5000, 1000)]
    assert track.told("b", (4000, 5900), 5900, final=True) == []
    assert track.told("c", (6500, 7000), 6500, final=True) == [Line("c", 6500, 500)]


def test_a_recording_begun_in_the_middle_of_a_sentence_has_its_rest() -> None:
    for on_time in (True, False):
        (line,) = CaptionTrack(on_time=on_time).told("a", (-500, 900), 0, final=True)
        assert line == Line("a", 0, 900)


@pytest.mark.parametrize("on_time", [True, False])
@given(st.lists(TOLD, max_size=12))
def test_lines_always_follow_each_other(
    on_time: bool, cues: list[tuple[str, int, int, bool]]
) -> None:
    track, lines = CaptionTrack(on_time=on_time), []
    for now, (text, start, end, final) in enumerate(cues):
        lines += track.told(text, (start, end), 500 * now, final=final)
    starts = [line.start_ms for line in lines]
    assert starts == sorted(set(starts))
    assert all(line.start_ms >= 0 and line.duration_ms > 0 for line in lines)
    if on_time:
        ends = [line.start_ms + line.duration_ms for line in lines]
        assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
