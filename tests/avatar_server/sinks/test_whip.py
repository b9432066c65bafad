"""WHIP against a server made of aiortc: media, tokens, redirects, losses, ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from avatar_server.rtc.peer import RtcSettings
from avatar_server.sinks import addresses
from avatar_server.sinks.whip import Whip, WhipSettings, wait_of
from tests.avatar_server.sinks.contract import Case, check_contract
from tests.avatar_server.sinks.session import SmallSession
from tests.peers import relay
from tests.peers.rtmp import free_port
from tests.peers.whip import LOOPBACK, WhipServer, whip_server


def settings(url: str, token: str = "", codecs: tuple[str, ...] = ("vp8", "h264")) -> WhipSettings:
    return WhipSettings(
        url=url,
        target="http://127.0.0.1",
        token=token,
        codecs=codecs,
        rtc=RtcSettings(host_addresses=LOOPBACK),
        check=lambda address: addresses.check(address, ("http",), ["127.0.0.1"]),
        check_relay=lambda address: addresses.check(address, ("turn",), ["127.0.0.1"]),
    )


@asynccontextmanager
async def publishing(
    session: SmallSession, given: WhipSettings, seconds: float = 60
) -> AsyncIterator[Whip]:
    """A sink that is fed at the wall clock's pace."""
    sink = Whip(given, session.feed)
    session.sinks.append(sink)
    feeding = asyncio.create_task(session.run(seconds))
    try:
        yield sink
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        await sink.close()


async def until(sink: Whip, *states: str, timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while sink.status()["state"] not in states:
            await asyncio.sleep(0.05)


async def test_contract() -> None:
    async with whip_server() as server:
        await check_contract(Case(lambda feed: Whip(settings(server.url), feed)))
        published = len(server.receivers)
        assert len(server.deleted) == published > 0


@pytest.mark.parametrize("codecs", [("vp8", "h264"), ("h264", "vp8")])
async def test_sound_and_picture_arrive_together(codecs: tuple[str, ...]) -> None:
    session = SmallSession()
    async with whip_server() as server:
        server.token = "open-sesame"
        async with publishing(session, settings(server.url, "open-sesame", codecs)) as sink:
            receiver = await server.until_published()
            await receiver.until_pictures(150)
            assert sink.codecs == frozenset(codecs[:1])
            assert sink.status()["codec"] == codecs[0]
        got = receiver.reception
        skews = sorted(got.skews_ms())
        assert len(skews) >= 4
        assert abs(skews[len(skews) // 2]) <= 40, skews
        steps = {b - a for a, b in zip(got.numbers, got.numbers[1:], strict=False)}
        assert steps == {1}
        assert server.deleted == [0]
        assert "open-sesame" not in f"{sink.status()}{session.notices}"


async def test_a_lost_picture_is_answered_with_a_key_frame() -> None:
    session = SmallSession()
    async with whip_server() as server:
        async with publishing(session, settings(server.url)):
            receiver = await server.until_published()
            await receiver.until_pictures(25)
            before = len(session.asked)
            await receiver.ask_keyframe()
            async with asyncio.timeout(5):
                while len(session.asked) == before:
                    await asyncio.sleep(0.02)
            assert session.asked[-1] == "vp8"


async def test_a_lost_connection_is_published_anew() -> None:
    session = SmallSession()
    async with whip_server() as server:
        async with publishing(session, settings(server.url)) as sink:
            first = await server.until_published()
            await first.until_pictures(10)
            await first.close()
            second = await server.until_published(2, timeout_s=30)
            await second.until_pictures(10)
            assert sink.status()["state"] == "live"
            assert sink.status()["connections"] == 2
            assert [code for code, _ in session.notices] == ["sink_retrying", "sink_live"]
            # Another connection altogether: new ICE credentials.
            ufrags = [line for offer in server.offers for line in offer.splitlines()
                      if "ice-ufrag" in line]  # fmt: skip
            assert len(set(ufrags)) >= 2
        assert sorted(server.deleted) == [0, 1]


async def test_a_server_in_trouble_is_tried_again() -> None:
    session = SmallSession()
    async with whip_server() as server:
        server.refusals = [503]
        async with publishing(session, settings(server.url)) as sink:
            await until(sink, "retrying")
            assert "503" in str(sink.status()["reason"])
            await until(sink, "live")


@pytest.mark.parametrize(
    ("refusal", "words"), [(403, "token"), (404, "404"), (406, "406"), (422, "422")]
)
async def test_what_would_never_work_ends_it(refusal: int, words: str) -> None:
    session = SmallSession()
    async with whip_server() as server:
        server.refusals = [refusal]
        async with publishing(session, settings(server.url)) as sink:
            await until(sink, "failed", "live")
            assert sink.status()["state"] == "failed"
            assert words in str(sink.status()["reason"])
            assert [code for code, _ in session.notices] == ["sink_failed"]
            assert not server.receivers


async def test_a_wrong_token_ends_it() -> None:
    session = SmallSession()
    async with whip_server() as server:
        server.token = "right"
        async with publishing(session, settings(server.url, "wrong")) as sink:
            await until(sink, "failed")
            assert "token" in str(sink.status()["reason"])


async def test_an_answer_that_is_none_ends_it() -> None:
    session = SmallSession()
    async with whip_server() as server:
        server.spoil = True
        async with publishing(session, settings(server.url)) as sink:
            await until(sink, "failed")
            assert "answer" in str(sink.status()["reason"])
        assert server.deleted == [9]  # what the server made is taken back all the same


async def redirected(server: WhipServer, to: str, *states: str) -> Whip:
    session = SmallSession()
    server.redirect = to
    async with publishing(session, settings(server.url.replace("/whip", "/old"))) as sink:
        await until(sink, *states)
        reason = str(sink.status()["reason"])
        assert sink.status()["state"] == states[0], reason
    return sink


async def test_redirects_are_followed_where_they_may_lead() -> None:
    async with whip_server() as server:
        await redirected(server, "/whip", "live")
        server.redirect_status = 308
        await redirected(server, server.url, "live")
        sink = await redirected(server, "http://169.254.169.254/latest", "failed")
        assert "elsewhere" in str(sink.status()["reason"])
        sink = await redirected(server, "/old", "failed")
        assert "308" in str(sink.status()["reason"])


async def test_nobody_there() -> None:
    session = SmallSession()
    given = settings(f"http://127.0.0.1:{free_port()}/whip")
    async with publishing(session, given) as sink:
        await until(sink, "retrying")
        assert "reached" in str(sink.status()["reason"])


@pytest.mark.skipif(bool(relay.missing()), reason=relay.missing() or "here")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_relay_that_the_server_tells_of_is_a_way_to_it(transport: str) -> None:
    """Without an address of one's own there is no other."""
    session = SmallSession()
    with relay.turn_server() as turn:
        async with whip_server() as server:
            password = turn.password.replace('"', '\\"')
            server.links = [
                '<stun:127.0.0.1:1>; rel="ice-server"',
                f'<turn:127.0.0.1:{turn.port}?transport={transport}>; rel="ice-server"; '
                f'username="{turn.username}"; credential="{password}"; credential-type="password"',
            ]
            given = replace(settings(server.url), rtc=RtcSettings(host_addresses=("192.0.2.99",)))
            async with publishing(session, given) as sink:
                receiver = await server.until_published()
                await receiver.until_pictures(50)
                assert sink.status()["state"] == "live"
            assert server.deleted == [0]
            assert "a=candidate" not in server.offers[0]
            assert turn.password not in f"{sink.status()}{session.notices}"
    assert len(receiver.reception.skews_ms()) >= 1


async def test_relays_elsewhere_are_not_used_and_the_operators_come_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("avatar_server.rtc.publisher.CONNECT_TIMEOUT_S", 1.0)
    link = '<turn:203.0.113.9>; rel="ice-server"; username="a"; credential="b"'
    async with whip_server() as server:
        server.links = [link]
        nowhere = RtcSettings(host_addresses=("192.0.2.99",))
        session = SmallSession()
        async with publishing(session, replace(settings(server.url), rtc=nowhere)) as sink:
            await until(sink, "retrying")
            assert "may not send to 203.0.113.9:3478" in str(sink.status()["reason"])
        chosen = replace(nowhere, ice_servers=("stun:127.0.0.1:1",))
        async with publishing(session, replace(settings(server.url), rtc=chosen)) as sink:
            await until(sink, "retrying")
            assert "203.0.113.9" not in str(sink.status()["reason"])


async def test_a_server_that_asks_to_wait_is_left_alone_so_long() -> None:
    session = SmallSession()
    async with whip_server() as server:
        server.refusals, server.retry_after = [503], "3"
        async with publishing(session, settings(server.url)) as sink:
            await until(sink, "retrying")
            start_s = asyncio.get_running_loop().time()
            await until(sink, "live")
            assert asyncio.get_running_loop().time() - start_s >= 2.9
        server.refusals, server.retry_after = [503], "7200"
        async with publishing(session, settings(server.url)) as sink:
            await until(sink, "failed", "live")
            assert "120 minutes" in str(sink.status()["reason"])


def test_how_long_to_wait_is_told_in_seconds_or_by_a_date() -> None:
    date = {"Date": "Wed, 25 Nov 2026 20:00:00 GMT"}
    assert wait_of({"Retry-After": "12"}) == 12
    assert wait_of({**date, "Retry-After": "Wed, 25 Nov 2026 20:01:30 GMT"}) == 90
    assert wait_of({**date, "Retry-After": "Wed, 25 Nov 2026 19:00:00 GMT"}) == 0
    for header in ("", "soon", "-3", "Wed, 25 Nov 2026 20:01:30"):
        assert wait_of({**date, "Retry-After": header}) == 0
    assert wait_of({"Retry-After": "Wed, 25 Nov 2026 20:01:30 GMT"}) == 0
