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
    await session.run(0.5)  # interrupted: an MP4 shows it to the end that was expected
    captions.tell(Cue("Second.", again, again + 24_000, final=True))
    await session.run(1.6)
    third = session.ticks * TICK_SAMPLES
    captions.tell(Cue("Third.", third, third + 24_000))
    await session.run(0.5)
    captions.tell(Cue("Third.", third, third + 24_000, final=True))
    captions.tell(Cue("Told twice.", at, at + 24_000, final=True))
    await sink.close()
    assert not captions.listeners
    lines = []
    with av.open(str(tmp_path / str(sink.status()["file"]))) as file:
        (track,) = file.streams.subtitles
        for packet in file.demux(track):
            text = bytes(packet)
            if container == "mp4":  # a length before the text; empty ones are pauses
                text = text[2 : 2 + int.from_bytes(text[:2], "big")]
            if text and packet.pts is not None:
                lines.append((text.decode(), float(packet.pts * packet.time_base),
                              float(packet.duration * packet.time_base)))  # fmt: skip
    assert [line[0] for line in lines] == ["Hello, <you> & 你好", "Second.", "Third."]
    assert lines[0][2] == pytest.approx(1.5, abs=0.03)
    assert lines[1][1] - lines[0][1] == pytest.approx((again - at) / 48_000, abs=0.03)
    assert lines[1][2] == pytest.approx(2.0 if container == "mp4" else 0.5, abs=0.05)
    assert lines[2][1] - lines[0][1] == pytest.approx((third - at) / 48_000, abs=0.03)
