"""A sink behind its own offset: what it is given, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest

from avatar_server.clock import ManualClock
from avatar_server.sinks.base import SinkError, Sinks, Sound
from avatar_server.sinks.offset import OffsetSink
from sonic_stream.media import MediaPacket


class Notebook:
    """Writes down what it is given, with the time."""

    kind = "notebook"
    codecs = frozenset({"vp8"})

    def __init__(self, clock: ManualClock, *, wants_opus: bool) -> None:
        self.wants_opus = wants_opus
        self.sounds: list[Sound] = []
        self.pictures: list[tuple[float, MediaPacket]] = []
        self.closed = False
        self._clock = clock

    def send_sound(self, sound: Sound) -> None:
        self.sounds.append(sound)

    def send_picture(self, packet: MediaPacket) -> None:
        self.pictures.append((self._clock.now_s(), packet))

    def status(self) -> Mapping[str, object]:
        return {}

    async def close(self) -> None:
        self.closed = True


def picture(pts: int, codec: str = "vp8") -> MediaPacket:
    return MediaPacket(codec, b"x", pts, Fraction(1, 25), keyframe=False)


def sound(tick: int, level: int = 0) -> Sound:
    opus = MediaPacket("opus", b"shared", 960 * tick, Fraction(1, 48_000), keyframe=True)
    return Sound(np.full(960, level, np.int16), 960 * tick, (opus,))


async def feed(sink: OffsetSink, clock: ManualClock, pictures: range) -> None:
    for pts in pictures:
        sink.send_picture(picture(pts))
        await asyncio.sleep(0)  # let its release begin to wait
        await clock.advance(0.04)


async def test_without_an_offset_everything_passes_untouched() -> None:
    clock = ManualClock()
    inner = Notebook(clock, wants_opus=True)
    sink = OffsetSink(inner, clock)
    given, packet = sound(3, 100), picture(0)
    sink.send_sound(given)
    sink.send_picture(packet)
    sink.send_picture(picture(0, "h264"))
    assert inner.sounds[0] is given
    assert [p for _, p in inner.pictures] == [packet]
    assert sink.wants_opus


@pytest.mark.parametrize("offset_ms", [1, 10, 130, 500])
async def test_pictures_come_later_by_the_millisecond(offset_ms: int) -> None:
    clock = ManualClock(50.0)
    inner = Notebook(clock, wants_opus=True)
    sink = OffsetSink(inner, clock)
    await feed(sink, clock, range(2))
    sink.set_offset(offset_ms)
    await feed(sink, clock, range(2, 100))
    came_s, last = inner.pictures[-1]
    media_s = float(last.pts * last.time_base) - offset_ms / 1000
    assert came_s == pytest.approx(50 + media_s + offset_ms / 1000)
    assert sink.status()["offset_ms"] == offset_ms
    assert sink.wants_opus, "the sound is nobody's own"
    sink.set_offset(0)
    await feed(sink, clock, range(100, 180))
    assert inner.pictures[-1][1] == picture(179)
    assert len(inner.pictures) == 180
    await sink.close()
    assert inner.closed


async def test_a_later_sound_is_older_samples_and_an_encoding_of_its_own() -> None:
    clock = ManualClock()
    inner = Notebook(clock, wants_opus=True)
    sink = OffsetSink(inner, clock)
    sink.set_offset(-100)
    for tick in range(12):
        sink.send_sound(sound(tick, 1000 if tick >= 4 else 0))
    levels = [int(s.samples[-1]) for s in inner.sounds]
    assert levels == [0] * 9 + [1000] * 3
    assert [s.pts for s in inner.sounds] == [960 * tick for tick in range(12)]
    assert all(p.data != b"shared" for s in inner.sounds for p in s.opus)
    assert not sink.wants_opus, "the shared encoding is of no use now"
    sink.silence()
    sink.send_sound(sound(12))
    sink.send_sound(sound(13))
    assert not inner.sounds[-1].samples.any()


async def test_closing_waits_for_nothing_that_is_held() -> None:
    clock = ManualClock()
    sink = OffsetSink(Notebook(clock, wants_opus=False), clock)
    sink.set_offset(500)
    sink.send_picture(picture(0))
    async with asyncio.timeout(1):
        await sink.close()


async def test_every_sink_of_a_session_has_an_offset() -> None:
    clock = ManualClock()
    sinks = Sinks(lambda codecs: None, clock)
    sinks.add("a", Notebook(clock, wants_opus=False))
    sinks.get("a").set_offset(40)
    assert sinks.status() == [{"id": "a", "kind": "notebook", "offset_ms": 40}]
    with pytest.raises(SinkError, match="no sink 'b'"):
        sinks.get("b")
    await sinks.close()
