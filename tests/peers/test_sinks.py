"""Sinks of the real server, opened by its protocol and judged by what their peers received."""

from __future__ import annotations

import asyncio
import json
import signal
import statistics
import urllib.error
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.sounds import beeps, write_wav
from tests.peers import rtmp
from tests.peers.clients import Control, studio
from tests.peers.media import read
from tests.peers.real_server import RealServer, real_server
from tests.peers.test_control import post


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    folder = tmp_path_factory.mktemp("server")
    with real_server(
        engine={"name": "testcard", "size_px": 128},
        limits={"sessions": 30},
        paths={"cache": str(folder / "cache"), "recordings": str(folder / "recordings")},
    ) as running:
        yield running


@asynccontextmanager
async def beeping(
    server: RealServer, folder: Path, seconds: float = 60
) -> AsyncIterator[tuple[Control, str]]:
    """A studio whose avatar plays beeps, kept alive; the control socket and the session."""
    write_wav(folder / "beeps.wav", beeps(seconds))
    sound = (folder / "beeps.wav").read_bytes()
    async with studio(server.url) as (client, welcome):
        upload, key = (
            f"{server.url}/api/files?name=beeps",
            {"Authorization": f"Bearer {welcome['resume']}"},
        )
        _, file = await asyncio.to_thread(post, upload, sound, **key)
        alive = asyncio.create_task(_ping(client))
        try:
            await client.send("play", file=file["id"])
            yield client, welcome["session"]
        finally:
            alive.cancel()
            await asyncio.gather(alive, return_exceptions=True)


async def _ping(client: Control) -> None:
    while True:
        await client.send("ping")
        await asyncio.sleep(1)


async def until(client: Control, ident: str, *states: str) -> dict[str, Any]:
    """The sink's entry in the session's state, once it is in one of these states."""
    while True:
        message = await client.expect("state", timeout_s=20)
        for sink in message["sinks"]:
            if sink["id"] == ident and sink["state"] in states:
                return dict(sink)


def sinks(server: RealServer, session: str) -> dict[str, dict[str, Any]]:
    facts = json.loads(server.get(f"/api/sessions/{session}"))
    return {sink["id"]: sink for sink in facts["sinks"]}


@pytest.mark.parametrize(("container", "offset_ms"), [("mp4", 0), ("webm", 120), ("mp4", -160)])
async def test_a_recording_keeps_the_offset_that_was_set(
    server: RealServer, container: str, offset_ms: int, tmp_path: Path
) -> None:
    """Of the session or of the sink alone, the file holds it to the millisecond."""
    async with beeping(server, tmp_path) as (client, session):
        if container == "webm":
            await client.send("set", lip_sync_offset_ms=offset_ms)
            await asyncio.sleep(4)
        await client.send("sink_open", id="take", kind="recording", format=container)
        await until(client, "take", "live")
        if container == "mp4" and offset_ms:
            await client.send("sink_offset", id="take", offset_ms=offset_ms)
            await asyncio.sleep(4)
        await asyncio.sleep(6)
        name = sinks(server, session)["take"]["file"]
        await client.send("sink_close", id="take")
        async with asyncio.timeout(10):
            while "take" in sinks(server, session):
                await asyncio.sleep(0.05)
    listed = {entry["name"]: entry["bytes"] for entry in json.loads(server.get("/api/recordings"))}
    (tmp_path / name).write_bytes(data := server.get(f"/api/recordings/{name}"))
    assert listed[name] == len(data) > 20_000
    got = read(tmp_path / name)
    skews = got.skews_ms()[-5:]
    assert len(skews) == 5
    assert max(abs(skew - offset_ms) for skew in skews) <= 24, skews
    assert got.numbers == sorted(set(got.numbers)) and len(got.numbers) == len(got.pictures)
    assert max(got.slips_ms()) < 2  # a picture that the worker left out leaves its time


@pytest.mark.skipif(bool(rtmp.missing()), reason=rtmp.missing() or "here")
async def test_one_encode_serves_a_push_and_a_recording(server: RealServer, tmp_path: Path) -> None:
    with rtmp.rtmp_server() as nginx:
        async with beeping(server, tmp_path) as (client, session):
            await client.send("sink_open", id="push", kind="rtmp", url=nginx.url)
            await client.send("sink_open", id="take", kind="recording")
            entry = await until(client, "push", "live")
            assert entry["target"] == f"rtmp://127.0.0.1:{nginx.port}"  # no key: viewers see it
            got = await asyncio.to_thread(rtmp.pull, nginx.url, 6.0)
            figures = sinks(server, session)
            assert figures["push"]["seconds"] > 1 and figures["push"]["dropped"] < 25
            await client.send("sink_close", id="take")
            await client.send("sink_close", id="push")
            name = figures["take"]["file"]
            await asyncio.sleep(1)
    (tmp_path / name).write_bytes(server.get(f"/api/recordings/{name}"))
    for reception in (got, read(tmp_path / name)):
        assert len(reception.skews_ms()) >= 4
        assert abs(statistics.median(reception.skews_ms())) <= 21
        assert max(reception.slips_ms()) < 2


async def test_bad_commands_leave_the_session_as_it_was(server: RealServer, tmp_path: Path) -> None:
    async with beeping(server, tmp_path) as (client, session):
        for fields, code in (
            ({"kind": "rtmp", "id": "a", "url": "http://127.0.0.1/x"}, "bad_address"),
            ({"kind": "rtmp", "id": "a", "url": "file:///etc/passwd"}, "bad_address"),
            ({"kind": "recording", "id": "viewers"}, "bad_sink"),
            ({"kind": "recording", "id": "a", "name": "../a"}, "bad_message"),
            ({"kind": "fax", "id": "a"}, "bad_message"),
        ):
            await client.send("sink_open", **fields)
            assert (await client.expect("error"))["code"] == code
        for ident in ("a", "viewers"):
            await client.send("sink_close", id=ident)
            assert (await client.expect("error"))["code"] == "no_sink"
        assert set(sinks(server, session)) <= {"viewers", "webrtc"}
    for name in ("..%2Fserver.toml", "none.mp4", "%00.mp4"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            server.get(f"/api/recordings/{name}")
        refused.value.close()
        assert refused.value.code == 404


async def test_only_listed_hosts_where_others_reach_the_server(tmp_path: Path) -> None:
    with real_server(
        server={"host": "0.0.0.0"}, engine={"name": "testcard", "size_px": 128}
    ) as open_server:
        local = RealServer(open_server.url.replace("0.0.0.0", "127.0.0.1"), open_server.process)
        async with studio(local.url) as (client, _):
            await client.send("sink_open", id="a", kind="whip", url="http://127.0.0.1:1/whip")
            error = await client.expect("error")
            assert error["code"] == "not_allowed" and "allowed_hosts" in error["message"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_server_that_ends_or_dies_leaves_whole_files(
    how: signal.Signals, tmp_path: Path
) -> None:
    """The writer is a process of its own: it finishes the file when nothing more comes."""
    paths = {"cache": str(tmp_path / "cache"), "recordings": str(tmp_path / "recordings")}
    with real_server(engine={"name": "testcard", "size_px": 128}, paths=paths) as server:
        async with studio(server.url) as (client, _):
            await client.send("sink_open", id="take", kind="recording", name="last words")
            await until(client, "take", "live")
            await asyncio.sleep(2)
            server.process.send_signal(how)
            await asyncio.to_thread(server.process.wait, 20)
    path = tmp_path / "recordings" / "last words.mp4"
    async with asyncio.timeout(10):
        while boxes(path)[-1] != "moov":
            await asyncio.sleep(0.1)
    assert len(read(path).pictures) >= 40
    assert boxes(path) == ["ftyp", "free", "mdat", "moov"]  # no pieces: an ordinary file


def boxes(path: Path) -> list[str]:
    """An MP4's outermost parts."""
    data, at, names = path.read_bytes(), 0, []
    while at < len(data):
        names.append(data[at + 4 : at + 8].decode())
        at += max(int.from_bytes(data[at : at + 4], "big"), 8)
    return names
