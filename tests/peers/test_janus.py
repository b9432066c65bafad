"""WHIP into a real SFU, and back out of it."""

from __future__ import annotations

import asyncio

import pytest

from avatar_server.rtc.peer import RtcSettings
from avatar_server.sinks.whip import Whip, WhipSettings
from tests.avatar_server.sinks.session import SmallSession
from tests.peers import janus

pytestmark = pytest.mark.skipif(bool(janus.missing()), reason=janus.missing() or "here")


@pytest.mark.parametrize("codec", ["vp8", "h264"])
async def test_a_viewer_behind_an_sfu_sees_and_hears_the_same_instant(codec: str) -> None:
    """The room takes one codec only, whichever we would rather send."""
    session = SmallSession()
    async with janus.sfu(codec) as front:
        given = WhipSettings(
            url=front.whip_url,
            target="http://127.0.0.1",
            token="",
            codecs=("vp8", "h264"),
            rtc=RtcSettings(),
            check=lambda url: url,
            check_relay=lambda url: url,
        )
        sink = Whip(given, session.feed)
        session.sinks.append(sink)
        feeding = asyncio.create_task(session.run(120))
        await janus.until_published(front)
        while sink.status()["state"] != "live":
            await asyncio.sleep(0.05)
        assert sink.codecs == frozenset({codec})
        viewer = await front.watch()  # it cannot begin without a key frame: the SFU asks for one
        await viewer.until_pictures(150)
        assert set(session.asked) == {codec}
        await sink.close()
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        await viewer.close()
    got = viewer.reception
    skews = sorted(got.skews_ms())
    assert len(skews) >= 4
    assert abs(skews[len(skews) // 2]) <= 40, skews
    assert got.fps == pytest.approx(25, abs=0.5)
    assert got.numbers == list(range(got.numbers[0], got.numbers[0] + len(got.numbers)))
