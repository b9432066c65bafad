"""SRT: what an address may say, and against srt-live-transmit as the other side."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_server.sinks import srt, srt_socket
from avatar_server.sinks.addresses import BadAddress
from avatar_server.sinks.child_process import ChildFailed
from avatar_server.sinks.rtmp import Push
from tests.avatar_server.sinks.contract import Case, check_a_killed_child, check_contract
from tests.avatar_server.sinks.session import SmallSession
from tests.peers import srt as peer
from tests.peers.media import read

needs_srt = pytest.mark.skipif(bool(peer.missing()), reason=peer.missing() or "here")
TICK_MS = 20
SECRET = "do not tell this"


def push_to(session: SmallSession, url: str) -> Push:
    push = Push(url, "srt://127.0.0.1", session.feed)
    session.sinks.append(push)
    return push


def test_an_address_holds_libsrts_options() -> None:
    found = srt.parse(
        "srt://host:9000?mode=caller&pkt_size=1316&latency=200&passphrase=a%20key+of%20mine"
        "&streamid=%23!::r=live,m=publish&tlpktdrop=no&maxbw=-1"
    )
    assert (found.host, found.port) == ("host", 9000)
    assert dict(found.options) == {
        23: (200).to_bytes(4, "little"),
        26: b"a key+of mine",
        46: b"#!::r=live,m=publish",
        31: b"\0",
        16: b"\xff" * 8,
    }


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("", "port"),
        (":9000?latency=120000", "milliseconds"),
        (":9000?latency=soon", "number"),
        (":9000?passphrase=hunter2", "10 to 79"),
        (":9000?passphrase=" + 80 * "x", "10 to 79"),
        (":9000?streamid=#!::r=live", "%23"),
        (":9000?mode=listener", "listen"),
        (":9000?transtype=file", "transtype"),
        (":9000?pbkeylen=20", "16, 24 or 32"),
        (":9000?tlpktdrop=perhaps", "0 or 1"),
        (":9000?colour=red", "it has mss"),
    ],
)
def test_what_is_wrong_with_an_address_is_told_without_its_secrets(rest: str, reason: str) -> None:
    with pytest.raises(BadAddress, match=reason) as told:
        srt.parse("srt://host" + rest)
    assert "hunter2" not in str(told.value)


@given(st.text(max_size=60))
def test_any_query_is_options_or_a_refusal(query: str) -> None:
    try:
        srt.parse("srt://host:9000?" + query)
    except BadAddress:
        return


def test_a_missing_library_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srt_socket, "NAMES", ("no-such-srt",))
    with pytest.raises(ChildFailed, match="apt install srt-tools") as told:
        srt_socket.SrtSocket("srt://127.0.0.1:9000")
    assert told.value.final


@needs_srt
async def test_contract(tmp_path: Path) -> None:
    options = "&peeridletimeo=1000"  # it is soon free again from one that was killed
    with peer.listener(tmp_path / "got.ts", options=options) as server:
        case = Case(lambda feed: Push(server.url, "srt://127.0.0.1", feed))
        await check_contract(case)
        await check_a_killed_child(case, "retrying")


@needs_srt
@pytest.mark.parametrize("key", ["", "&passphrase=0123456789&pbkeylen=32"])
async def test_the_other_side_has_every_picture_with_its_sound(key: str, tmp_path: Path) -> None:
    session = SmallSession()
    options = f"&tlpktdrop=0{key}"  # on a busy machine what is late comes all the same
    with peer.listener(tmp_path / "got.ts", options=options) as server:
        push = push_to(session, f"{server.url}?latency=1000{options}")
        await session.until(push, "live")
        await session.run(6)
        await push.close()
        await asyncio.sleep(1.5)
    got = read(tmp_path / "got.ts")
    assert len(got.skews_ms()) >= 5
    assert max(map(abs, got.skews_ms())) <= 21
    assert max(got.slips_ms()) < 1
    assert got.numbers == list(range(got.numbers[0], got.numbers[0] + len(got.numbers)))
    sent = (session.ticks * TICK_MS - session.latency_ms) // 40
    assert sent - 15 <= got.numbers[-1] <= sent  # to the end, though the latency is a second
    assert push.codecs == frozenset() and set(session.asked) <= {"h264"}


@needs_srt
async def test_a_server_that_comes_back_is_found_again(tmp_path: Path) -> None:
    session = SmallSession()
    with peer.listener(tmp_path / "first.ts") as first:
        push = push_to(session, first.url)
        await session.until(push, "live")
    await session.until(push, "retrying")
    assert "lost" in str(push.status()["reason"])
    with peer.listener(tmp_path / "second.ts", first.port):
        await session.until(push, "live", timeout_s=30)
        await session.run(3)
        await push.close()
    assert [code for code, _ in session.notices] == ["sink_retrying", "sink_live"]
    assert len(read(tmp_path / "second.ts").skews_ms()) >= 1


@needs_srt
async def test_nobody_answers() -> None:
    session = SmallSession()
    push = push_to(
        session, f"srt://127.0.0.1:{peer.free_udp_port()}?passphrase={SECRET}&conntimeo=500"
    )
    await session.until(push, "retrying")
    assert push.status()["reason"] == "nobody answers there"
    await push.close()
    push = push_to(session, "srt://no-such-host.invalid:9000")
    await session.until(push, "retrying")
    assert "no such host" in str(push.status()["reason"])
    await push.close()


@needs_srt
async def test_a_server_that_stands_still_is_left(tmp_path: Path) -> None:
    """What waits for it is bounded, and the loss is noticed."""
    session = SmallSession()
    with peer.listener(tmp_path / "got.ts") as server:
        push = push_to(session, f"{server.url}?peeridletimeo=1000")
        await session.until(push, "live")
        server.process.send_signal(signal.SIGSTOP)
        await session.until(push, "retrying", timeout_s=20)
        assert push.waiting_bytes <= 2 * push.queue_bytes + 100_000
        async with asyncio.timeout(5):
            await push.close()


@needs_srt
async def test_a_wrong_passphrase_is_told_at_once_and_shown_nowhere(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    session = SmallSession()
    for theirs, ours, reason in (
        ("&passphrase=0123456789", f"&passphrase={SECRET}", "is not the other side's"),
        ("", f"&passphrase={SECRET}", "one side wants"),
        ("&passphrase=0123456789", "", "one side wants"),
    ):
        with peer.listener(tmp_path / "got.ts", options=theirs) as server:
            push = push_to(session, f"{server.url}?latency=80{ours}")
            await session.until(push, "failed", "retrying")
            assert push.status()["state"] == "failed"
            assert reason in str(push.status()["reason"])
            assert SECRET not in f"{push.status()} {session.notices}"
            await push.close()
    assert SECRET not in "".join(capfd.readouterr())


@needs_srt
async def test_the_stream_id_reaches_the_other_side_and_no_list_of_processes() -> None:
    session = SmallSession()
    port = peer.free_udp_port()
    enough = threading.Event()
    heard = asyncio.create_task(asyncio.to_thread(peer.accepted_stream_id, port, enough))
    await asyncio.sleep(0.2)
    ident = "#!::r=live,m=publish,u=me"
    push = push_to(session, f"srt://127.0.0.1:{port}?streamid={ident.replace('#', '%23')}")
    await session.until(push, "live")
    pid = push.pid
    assert pid is not None
    command = await asyncio.to_thread(Path(f"/proc/{pid}/cmdline").read_bytes)
    assert b"publish" not in command and b"mux_process" in command
    enough.set()
    assert await heard == ident
    await push.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
