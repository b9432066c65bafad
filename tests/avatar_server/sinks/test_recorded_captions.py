"""Captions in a recording: their text, at the time of their sound."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from avatar_server.captions import Cue
from avatar_server.playout import TICK_SAMPLES
from avatar_server.sinks.recording import Container, Recording
from tests.avatar_server.sinks.session import SmallSession


@pytest.mark.parametrize("container", ["mp4", "webm"])
async def test_what_was_said_is_a_track_of_the_recording(
    tmp_path: Path, container: Container
) -> None:
    session = SmallSession()
    sink = Recording(tmp_path, "take", container, session.feed)
    session.sinks.append(sink)
    await session.until(sink, "live")
    await session.run(1.5)
    captions = session.feed.captions
    at = session.ticks * TICK_SAMPLES
    captions.tell(Cue("Hello, <you> & 你好", at, at + 72_000))
    await session.run(1.5)  # longer than a piece of the file
    captions.tell(Cue("Hello, <you> & 你好", at, at + 72_000, final=True))
    captions.tell(Cue("Over long ago.", -90_000, -50_000, final=True))
    captions.tell(Cue("", at + 73_000, at + 74_000, final=True))
    again = session.ticks * TICK_SAMPLES
    captions.tell(Cue("Second.", again, again + 96_000))
    await session.run(0.5)  # interrupted
    captions.tell(Cue("Second.", again, again + 24_000, final=True))
    await session.run(1.6)
    third = session.ticks * TICK_SAMPLES
    captions.tell(Cue("Third.", third, third + 24_000))
    await session.run(0.5)
    captions.tell(Cue("Third.", third, third + 24_000, final=True))
    captions.tell(Cue("Told twice.", at, at + 24_000, final=True))
    path = tmp_path / str(sink.status()["file"])
    await session.run(1.5)
    assert [text for text, _, _ in lines_of(path, container)][:2] == [
        "Hello, <you> & 你好",
        "Second.",
    ]
    last = session.ticks * TICK_SAMPLES
    captions.tell(Cue("Last.", last, last + 96_000))
    await session.run(0.6)
    await sink.close()
    assert not captions.listeners
    texts, starts_s, lengths_s = zip(*lines_of(path, container), strict=True)
    assert texts == ("Hello, <you> & 你好", "Second.", "Third.", "Last.")
    assert lengths_s == pytest.approx((1.5, 0.5, 0.5, 0.6), abs=0.05)
    begun_s = [(pts - at) / 48_000 for pts in (at, again, third, last)]
    assert [start_s - starts_s[0] for start_s in starts_s] == pytest.approx(begun_s, abs=0.03)


def lines_of(path: Path, container: Container) -> list[tuple[str, float, float]]:
    """Text, start and length of each, also of a file that is still being written."""
    lines = []
    with av.open(str(path)) as file:
        (track,) = file.streams.subtitles
        for packet in file.demux(track):
            text = bytes(packet)
            if container == "mp4":  # a length before the text; empty ones are pauses
                text = text[2 : 2 + int.from_bytes(text[:2], "big")]
            if text and packet.pts is not None:
                times = packet.pts * packet.time_base, packet.duration * packet.time_base
                lines.append((text.decode(), *map(float, times)))
    return lines
