"""RTMP against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from avatar_server.sinks.rtmp import Push
from tests.avatar_server.sinks.contract import Case, check_a_killed_child, check_contract
from tests.avatar_server.sinks.session import SmallSession
from tests.peers import rtmp

needs_nginx = pytest.mark.skipif(bool(rtmp.missing()), reason=rtmp.missing() or "here")


@pytest.fixture(scope="module")
def server() -> Iterator[rtmp.RtmpServer]:
    with rtmp.rtmp_server() as running:
        yield running


@needs_nginx
async def test_contract(server: rtmp.RtmpServer) -> None:
    case = Case(lambda feed: Push(server.url, "rtmp://127.0.0.1", feed))
    await check_contract(case)
    await check_a_killed_child(case, "retrying")


@needs_nginx
async def test_a_player_sees_and_hears_the_same_instant(server: rtmp.RtmpServer) -> None:
    session = SmallSession()
    push = Push(server.url, "rtmp://127.0.0.1", session.feed)
    session.sinks.append(push)
    await session.until(push, "live")
    feeding = asyncio.create_task(session.run(60))
    got = await asyncio.to_thread(rtmp.pull, server.url, 6.0)
    feeding.cancel()
    await asyncio.gather(feeding, return_exceptions=True)
    await push.close()
    skews = got.skews_ms()
    assert len(skews) >= 4
    assert max(map(abs, skews)) <= 22, skews  # RTMP counts milliseconds
    assert got.fps == pytest.approx(25, abs=0.2)
    assert got.numbers == list(range(got.numbers[0], got.numbers[0] + len(got.numbers)))
    assert push.codecs == frozenset() and set(session.asked) <= {"h264"}


@needs_nginx
async def test_a_server_that_comes_back_is_found_again() -> None:
    session = SmallSession()
    with rtmp.rtmp_server() as first:
        push = Push(first.url, "rtmp://127.0.0.1", session.feed)
        session.sinks.append(push)
        await session.until(push, "live")
    await session.until(push, "retrying")
    assert push.status()["reason"]
    with rtmp.rtmp_server(first.port):
        await session.until(push, "live", timeout_s=30)
        assert [code for code, _ in session.notices] == ["sink_retrying", "sink_live"]
        await push.close()


@needs_nginx
async def test_a_server_that_denies_is_tried_again_and_says_why(server: rtmp.RtmpServer) -> None:
    session = SmallSession()
    push = Push(server.closed_url, "rtmp://127.0.0.1", session.feed)
    session.sinks.append(push)
    await session.until(push, "retrying")
    assert "server" in str(push.status()["reason"])
    await push.close()


async def test_nobody_listens() -> None:
    session = SmallSession()
    url = f"rtmp://127.0.0.1:{rtmp.free_port()}/live/secret"
    push = Push(url, "rtmp://127.0.0.1", session.feed)
    session.sinks.append(push)
    await session.until(push, "retrying")
    assert "refused" in str(push.status()["reason"])
    assert "secret" not in f"{push.status()} {session.notices}"
    await push.close()


async def test_a_server_that_takes_the_connection_and_never_speaks() -> None:
    """Pictures are dropped, memory is bounded, closing takes its three seconds."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    session = SmallSession()
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        push = Push(f"rtmp://127.0.0.1:{port}/live/key", "rtmp://127.0.0.1", session.feed)
        session.sinks.append(push)
        await session.run(1.5)
        assert push.status()["state"] == "starting"
        await session.run(60, pace=1e9)
        assert push.waiting_bytes <= 2 * push.queue_bytes + 100_000
        async with asyncio.timeout(5):
            await push.close()
