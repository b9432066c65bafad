"""The virtual camera with a stand-in for its device; the loudspeaker by the real PortAudio and ALSA
to a sound card in software."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from avatar_server.sinks.base import Sound
from avatar_server.sinks.camera import Camera
from avatar_server.sinks.speaker import Speaker
from sonic_stream.engines.testcard import read_pts
from sonic_stream.media import MediaPacket
from tests.avatar_server.sinks.contract import Case, check_a_killed_child, check_contract
from tests.avatar_server.sinks.session import SmallSession
from tests.peers import sound_card
from tests.peers.sound_card import LOUDSPEAKER

MODULE = "tests.avatar_server.sinks.stand_in"
CAMERA = f"{MODULE}:Camera"
needs_sound = pytest.mark.skipif(bool(sound_card.missing()), reason=sound_card.missing() or "here")


def camera(device: str) -> Case:
    return Case(lambda feed: Camera(device, feed, CAMERA))


async def test_contract(tmp_path: Path) -> None:
    case = camera(str(tmp_path / "device"))
    await check_contract(case)
    await check_a_killed_child(case, "retrying")


@needs_sound
async def test_contract_of_the_loudspeaker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(lambda feed: Speaker(LOUDSPEAKER, feed))
    with sound_card.sound_card(tmp_path, monkeypatch):
        await check_contract(case)
        await check_a_killed_child(case, "retrying")


async def test_the_camera_shows_every_picture_in_order(tmp_path: Path) -> None:
    session, device = SmallSession(), tmp_path / "camera"
    sink = Camera(str(device), session.feed, CAMERA)
    session.sinks.append(sink)
    await session.until(sink, "live")
    await session.run(3.0)
    assert sink.status()["shown"]
    await sink.close()
    planes = np.frombuffer(device.read_bytes(), np.uint8).reshape(-1, 192, 128)
    numbers = [read_pts(cv2.cvtColor(p, cv2.COLOR_YUV2RGB_I420)) for p in planes]
    assert len(numbers) > 40  # some pictures come two at a time on a busy machine
    assert None not in numbers and numbers == sorted(set(numbers))
    assert session.asked.count("vp8") <= 2  # no key frames beyond the first: viewers pay for them


class Watch:
    """A sink that notes when each beep is sent, and when its flash: both of a testcard."""

    kind, wants_opus, codecs = "watch", False, frozenset[str]()

    def __init__(self) -> None:
        self.sent_s: list[float] = []
        self._loud_s = 0.0

    def send_sound(self, sound: Sound) -> None:
        if np.abs(sound.samples).max() > 3000:
            if time.monotonic() - self._loud_s > 0.3:
                self.sent_s.append(time.monotonic())
            self._loud_s = time.monotonic()

    def send_picture(self, packet: MediaPacket) -> None: ...

    def status(self) -> Mapping[str, object]:
        return {}

    async def close(self) -> None: ...


def onsets(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    loud = np.flatnonzero(np.abs(samples) > 0.1)
    return loud[np.flatnonzero(np.diff(loud, prepend=-48_000) > 20_000)]


@needs_sound
@pytest.mark.parametrize("pace", [1.0, 1.02, 0.98])
async def test_the_loudspeaker_plays_what_was_said_at_the_cards_pace(
    pace: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A beep about every 1.013 s, each soon after it was sent, whatever the card's clock."""
    session, watch = SmallSession(), Watch()
    with sound_card.sound_card(tmp_path, monkeypatch, pace) as card:
        sink = Speaker(LOUDSPEAKER, session.feed)
        session.sinks += [sink, watch]
        await session.until(sink, "live")
        await session.run(7.0)
        assert float(str(sink.status()["buffer_ms"])) < 300
        await sink.close()
        played = card.played
        heard_s = card.played_at_s(onsets(played))
    assert len(heard_s) >= 5
    # The first ones come while the buffer finds its level; a busy machine is late now and then.
    late_s = [min(at - s for s in watch.sent_s if s < at + 0.02) for at in heard_s[1:]]
    assert np.median(late_s) < 0.4, late_s
    assert np.abs(np.diff(heard_s[1:]) - 1.013).max() < 0.1
    assert 0.45 < np.abs(played).max() < 0.6
    spectrum = np.abs(np.fft.rfft(played[onsets(played)[2] :][:2400]))
    assert np.argmax(spectrum) * 20 == pytest.approx(1000, abs=40)


@needs_sound
async def test_a_loudspeaker_that_is_unplugged_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = SmallSession()
    with sound_card.sound_card(tmp_path, monkeypatch) as card:
        sink = Speaker(LOUDSPEAKER, session.feed)
        session.sinks.append(sink)
        await session.until(sink, "live")
        await asyncio.to_thread(card.unplug)
        await session.until(sink, "retrying")
        assert "lost" in str(sink.status()["reason"])
        async with asyncio.timeout(10):
            while "cannot be opened" not in str(sink.status()["reason"]):
                await session.run(0.02)
        card.plug()
        await session.until(sink, "live", timeout_s=30)
        before = len(card.played)
        await session.run(1.5)
        assert np.abs(card.played[before:]).max() > 0.4
        await sink.close()


async def test_a_camera_that_goes_away_is_looked_for_again(tmp_path: Path) -> None:
    session = SmallSession()
    sink = camera(str(tmp_path / "fragile")).make(session.feed)
    session.sinks.append(sink)
    await session.until(sink, "retrying")
    assert "lost" in str(sink.status()["reason"])
    await session.until(sink, "live")
    await sink.close()


async def told(sink: Camera | Speaker, session: SmallSession) -> str:
    session.sinks.append(sink)
    await session.until(sink, "failed", "retrying")
    reason = str(sink.status()["reason"])
    await sink.close()
    return reason


async def test_what_is_missing_is_told_with_what_to_do() -> None:
    session = SmallSession()
    feed = session.feed
    assert "modprobe v4l2loopback" in await told(Camera("", feed, CAMERA), session)
    assert "[vcam]" in await told(Camera("", feed, "no_such_module:Camera"), session)
    assert "[local]" in await told(Speaker("", feed, "no_such_module:OutputStream"), session)


async def test_the_real_libraries_fail_in_words_too() -> None:
    """With whatever this machine has: no package, no library, no device, or all of them."""
    session = SmallSession()
    for sink in (Camera("no such camera", session.feed), Speaker("no such speaker", session.feed)):
        session.sinks.append(sink)
        await session.until(sink, "failed", "retrying")
        assert "ended unexpectedly" not in str(sink.status()["reason"])
        await sink.close()
