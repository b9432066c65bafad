"""The command line against a running server, and OSC."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from tests.peers.clients import studio
from tests.peers.real_server import RealServer, real_server
from tests.peers.test_control import wav


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def osc_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def server(cache: Path, osc_port: int) -> Iterator[RealServer]:
    with real_server(
        engine={"name": "testcard", "size_px": 128},
        paths={"cache": str(cache)},
        osc={"port": osc_port},
        limits={"heartbeat_s": 60.0, "sessions": 10},  # clients here do not ping
    ) as running:
        yield running


def config_file(cache: Path) -> Path:
    path = cache / "client.toml"
    path.write_text(f'[paths]\ncache = "{cache}"\n')
    return path


async def avatar(server: RealServer, cache: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "avatar_server", "--config", str(config_file(cache))]
    return await asyncio.to_thread(
        subprocess.run, [*command, *words, "--url", server.url],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


async def test_the_command_line_commands_the_newest_session(
    server: RealServer, cache: Path
) -> None:
    file = cache / "tone.wav"
    file.write_bytes(wav(5.0))
    async with studio(server.url) as (client, welcome):
        listed = await avatar(server, cache, "sessions")
        assert f"/obs?session={welcome['session']}" in listed.stdout
        assert f"token={welcome['resume']}" in listed.stdout
        done = await avatar(server, cache, "play", str(file))
        assert done.returncode == 0, done.stderr
        await client.expect("state", source="file", queue=1)
        assert (await avatar(server, cache, "interrupt")).returncode == 0
        await client.expect("state", source="idle", queue=0)
        done = await avatar(server, cache, "send", "set", "lip_sync_offset_ms=-90")
        assert json.loads(done.stdout)["settings"]["lip_sync_offset_ms"] == -90
        done = await avatar(server, cache, "send", "portrait", "id=none")
        assert done.returncode == 1
        assert done.stderr.startswith("avatar-server send: there is no portrait")


async def test_typed_text_is_spoken(server: RealServer, cache: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="the embedded voice is not installed")
    async with studio(server.url) as (client, _):
        assert (await avatar(server, cache, "say", "Hello there.")).returncode == 0
        await client.expect("state", source="tts")


async def test_a_foreign_session_needs_its_token(server: RealServer, tmp_path: Path) -> None:
    async with studio(server.url) as (_, welcome):
        done = await avatar(server, tmp_path, "interrupt")
        assert done.returncode == 1
        assert "--token" in done.stderr
        done = await avatar(server, tmp_path, "interrupt", "--token", welcome["resume"])
        assert done.returncode == 0, done.stderr


async def test_no_session_and_no_server_are_one_line(cache: Path) -> None:
    nowhere = RealServer("http://127.0.0.1:9", None)  # type: ignore[arg-type]
    done = await avatar(nowhere, cache, "say", "Hello")
    assert done.returncode == 1
    assert "no server answers" in done.stderr
    assert "Traceback" not in done.stderr


def osc(address: str, *values: object) -> bytes:
    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)
    return bytes(builder.build().dgram)


async def test_osc_does_the_same(server: RealServer, osc_port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mixer:
        mixer.settimeout(5)

        def send(data: bytes) -> None:
            mixer.sendto(data, ("127.0.0.1", osc_port))

        async with studio(server.url) as (client, _):
            send(osc("/avatar/portrait", "nia"))
            await client.expect("state", portrait="nia")
            send(osc("/avatar/offset", 120.0))
            state = await client.expect("state")
            while state["settings"]["lip_sync_offset_ms"] != 120:
                state = await client.expect("state")
            for bad in (b"nonsense", osc("/avatar/dance"), osc("/avatar/portrait", "none")):
                send(bad)
                answer = OscMessage(await asyncio.to_thread(mixer.recv, 2048))
                assert answer.address == "/avatar/error"
                assert answer.params[0]
            send(osc("/avatar/portrait", "mira"))
            await client.expect("state", portrait="mira")
