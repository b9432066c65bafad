"""Captions on the media clock, and as WebVTT."""

from __future__ import annotations

from avatar_server.captions import Captions, Cue, CueWord, message_of


def test_a_cue_is_told_and_replaced_by_its_better_self() -> None:
    captions, told = Captions(), list[Cue]()
    captions.listeners.add(told.append)
    captions.tell(Cue("Hello", 48_000, 96_000))
    captions.tell(Cue("Hello", 48_000, 72_000))
    captions.tell(Cue("you", 96_000, 144_000))
    assert [cue.end_pts for cue in told] == [96_000, 72_000, 144_000]
    assert captions.webvtt() == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:01.500\nHello\n\n00:00:02.000 --> 00:00:03.000\nyou\n"
    )


def test_the_history_is_bounded() -> None:
    captions = Captions(history=3)
    for second in range(10):
        captions.tell(Cue(f"number {second}", second * 48_000, second * 48_000 + 100))
    text = captions.webvtt()
    assert "number 6" not in text
    assert "number 7" in text
    assert Captions().webvtt() == "WEBVTT\n"


def test_text_cannot_break_the_file() -> None:
    captions = Captions()
    captions.tell(Cue("a --> b\n\n00:00 <b>&amp;", 0, 3_600_000 * 48 + 48))
    assert captions.webvtt().splitlines()[2:] == [
        "00:00:00.000 --> 01:00:00.001",
        "a --&gt; b 00:00 &lt;b&gt;&amp;amp;",
    ]


def test_the_message_is_in_milliseconds() -> None:
    cue = Cue("One two", 48_000, 96_000, (CueWord("One", 48_000, 72_000),))
    assert message_of(cue) == {
        "text": "One two",
        "start_ms": 1000,
        "end_ms": 2000,
        "final": False,
        "words": [{"text": "One", "start_ms": 1000, "end_ms": 1500}],
    }
