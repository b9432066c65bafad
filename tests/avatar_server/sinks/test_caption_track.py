"""Captions that change their mind, as the lines of a file."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from avatar_server.sinks.caption_track import CaptionTrack, Line

TIMES = st.integers(-3000, 9000)
TOLD = st.tuples(st.sampled_from(["", "a", "b"]), TIMES, TIMES, st.booleans())


def test_each_line_is_written_once_with_the_end_that_it_had() -> None:
    track = CaptionTrack()
    assert track.told("a b", 1000, 5000, final=False) is None
    assert track.told("a b", 1000, 5200, final=False) is None
    assert track.told("a", 1000, 2500, final=True) == Line("a", 1000, 2500)  # interrupted
    assert track.told("b", 2400, 3000, final=True) == Line("b", 2500, 3000)
    assert track.told("b", 2400, 3000, final=True) is None
    assert track.close(4000) is None


def test_what_is_being_said_at_the_end_of_the_file_ends_with_it() -> None:
    track = CaptionTrack()
    assert track.told("a", 1000, 5000, final=False) is None
    assert track.close(3000) == Line("a", 1000, 3000)


def test_a_recording_begun_in_the_middle_of_a_sentence_has_its_rest() -> None:
    assert CaptionTrack().told("a", -500, 900, final=True) == Line("a", 0, 900)
    assert CaptionTrack().told("a", -500, 0, final=True) is None


@given(st.lists(TOLD, max_size=12))
def test_lines_always_follow_each_other(cues: list[tuple[str, int, int, bool]]) -> None:
    track = CaptionTrack()
    told = [track.told(text, start, end, final=final) for text, start, end, final in cues]
    lines = [line for line in [*told, track.close(9500)] if line is not None]
    assert all(line.text and 0 <= line.start_ms < line.end_ms for line in lines)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(lines))
