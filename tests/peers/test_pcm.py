"""Raw sound over `/ws/pcm` into the real server, and what a viewer hears of it."""

from __future__ import annotations

import asyncio
import json
import sys
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.peers.clients import control
from tests.peers.listening import RATE_HZ, Ear, listening
from tests.peers.real_server import RealServer
from tests.peers.whip import Receiver

PCM = "avatar.pcm.v1"


def tone(seconds: float, rate_hz: int, hz: float = 440.0) -> bytes:
    sound = 0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate_hz)) / rate_hz)
    return np.asarray(sound * 32767, "<i2").tobytes()


class Pcm:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, kind: str, **fields: object) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def expect(self, kind: str, timeout_s: float = 15.0) -> dict[str, Any]:
        async with asyncio.timeout(timeout_s):
            while True:
                message: dict[str, Any] = json.loads(await self.socket.recv())
                if message["type"] == kind:
                    return message


@asynccontextmanager
async def raw(url: str, query: str = "", *protocols: str, **headers: str) -> AsyncIterator[Pcm]:
    address = url.replace("http://", "ws://") + "/ws/pcm" + query
    async with connect(
        address, subprotocols=[PCM, *protocols],  # type: ignore[list-item]
        additional_headers=headers, ping_interval=None, compression=None,
    ) as socket:  # fmt: skip
        yield Pcm(socket)


@asynccontextmanager
async def speaking(url: str, ear: Ear, **form: object) -> AsyncIterator[Pcm]:
    async with raw(url) as pcm:
        await pcm.send(
            "start", session=ear.welcome["session"], resume=ear.welcome["resume"], **form
        )
        assert (await pcm.expect("ready"))["high_water_ms"] == 10_000
        yield pcm


def residue(sound: np.ndarray, hz: float) -> np.ndarray:
    """What is left of each 20 ms when the best-fitting tone of `hz` is taken away (rms)."""
    time = np.arange(960) / RATE_HZ
    base = np.stack([np.sin(2 * np.pi * hz * time), np.cos(2 * np.pi * hz * time)], axis=1)
    rows = sound[: len(sound) // 960 * 960].reshape(-1, 960)
    fitted = rows @ base @ np.linalg.pinv(base.T @ base) @ base.T
    return np.asarray(np.sqrt(np.mean(np.square(rows - fitted), axis=1)))


async def test_two_segments_are_heard_in_tune_at_their_level_and_join_without_a_click(
    testcard_server: RealServer,
) -> None:
    async with listening(testcard_server.url) as ear:
        async with speaking(testcard_server.url, ear, rate_hz=24_000) as pcm:
            data = tone(1.0, 24_000)
            for _ in range(2):
                for start in range(0, len(data), 3333):
                    await pcm.socket.send(data[start : start + 3333])
                await pcm.send("end")
            first, second = await pcm.expect("played"), await pcm.expect("played")
        assert (first["segment"], second["segment"]) == (0, 1)
        assert first["played_ms"] == second["played_ms"] == 1000
        assert first["complete"] is True
        assert second["media_ms"] - first["media_ms"] == 1000
        await ear.voice()
        await ear.quiet()
    sound = ear.sound
    loud = np.flatnonzero(np.abs(sound) > 0.05)
    assert len(sound[loud[0] : loud[-1]]) == pytest.approx(2 * RATE_HZ, abs=960)
    steady = sound[loud[0] + 2400 : loud[-1] - 2400]
    assert np.sqrt(2 * np.mean(np.square(steady))) == pytest.approx(0.5, rel=0.05)
    left = np.sort(residue(steady, 440))
    assert np.median(left) < 0.005
    assert left[-3] < 0.02, "neither a click at the join nor anywhere else"


async def test_a_stream_slower_than_real_time_has_gaps_and_loses_nothing(
    testcard_server: RealServer,
) -> None:
    async with listening(testcard_server.url) as ear:
        async with speaking(testcard_server.url, ear, rate_hz=16_000, format="f32") as pcm:
            sound = np.full(1600, 0.25, "<f4").tobytes()
            for _ in range(8):
                await pcm.socket.send(sound)
                await asyncio.sleep(0.2)
            await pcm.send("end")
            assert (await pcm.expect("played"))["played_ms"] == 800
            position = ear.messages[-1]
            assert position["type"] != "error"


async def test_a_stream_faster_than_real_time_is_paced(testcard_server: RealServer) -> None:
    """Four minutes of sound at once: the server takes ten seconds of it and what the sockets hold
    (which may be a minute's megabytes), reports how much, and an interruption from elsewhere
    ends it."""
    async with listening(testcard_server.url) as ear:
        async with speaking(testcard_server.url, ear, rate_hz=48_000, channels=2) as pcm:

            async def flood() -> None:
                noise = np.random.default_rng(0).integers(-3000, 3000, 2 * 4800)
                for _ in range(2400):
                    await pcm.socket.send(noise.astype("<i2").tobytes())

            flooding = asyncio.create_task(flood())
            held = [(await pcm.expect("position"))["buffered_ms"] for _ in range(8)]
            assert 9000 < max(held) <= 10_200
            assert not flooding.done()
            await ear.client.send("interrupt")
            told = await ear.message("interrupted")
            assert (told["kind"], told["by"]) == ("pcm", "command")
            answer = await pcm.expect("interrupted")
            assert answer["complete"] is False
            assert answer["played_ms"] == pytest.approx(1000 * told["seconds"], abs=1)
            await asyncio.wait_for(flooding, 30)  # read on and dropped
            await pcm.send("end")
            assert (await pcm.expect("played"))["complete"] is False
            await pcm.socket.send(np.full(9600, 2000, "<i2").tobytes())
            await pcm.send("end")
            assert (await pcm.expect("played"))["played_ms"] == 100


async def test_the_client_itself_may_interrupt(testcard_server: RealServer) -> None:
    async with listening(testcard_server.url) as ear:
        async with speaking(testcard_server.url, ear, rate_hz=22_050) as pcm:
            await pcm.socket.send(tone(5.0, 22_050))
            await pcm.expect("position")
            await asyncio.sleep(0.5)
            await pcm.send("interrupt")
            answer = await pcm.expect("interrupted")
            assert 300 < answer["played_ms"] < 1500
            await ear.quiet(timeout_s=2)
            await pcm.send("end")
            assert (await pcm.expect("played"))["complete"] is False


async def test_what_a_client_sent_before_it_vanished_is_played(
    testcard_server: RealServer,
) -> None:
    async with listening(testcard_server.url) as ear:
        async with speaking(testcard_server.url, ear, rate_hz=16_000) as pcm:
            await pcm.socket.send(tone(1.0, 16_000))
            await pcm.expect("position")
            pcm.socket.transport.abort()
        await ear.message("state", source="pcm")
        ear.forget()
        await ear.message("state", source="idle", queue=0)
        await ear.voice()
        await ear.quiet()
        loud = np.flatnonzero(np.abs(ear.sound) > 0.05)
        assert loud[-1] - loud[0] == pytest.approx(RATE_HZ, abs=960)
        await ear.client.send("say", text="Hello")
        ear.forget()
        await ear.message("state", source="tts")


async def test_an_empty_segment_is_answered(testcard_server: RealServer) -> None:
    async with listening(testcard_server.url) as ear:
        async with speaking(testcard_server.url, ear) as pcm:
            await pcm.send("end")
            assert (await pcm.expect("played"))["played_ms"] == 0


async def test_a_client_without_a_session_gets_one(testcard_server: RealServer) -> None:
    async with raw(testcard_server.url) as pcm:
        await pcm.send("start", rate_hz=8000)
        ready = await pcm.expect("ready")
        await pcm.socket.send(tone(6.0, 8000))
        await pcm.send("end")
        played = await pcm.expect("played")
        assert played["played_ms"] == 6000, "the session outlives the heartbeat while it plays"
    async with raw(
        testcard_server.url, f"?session={ready['session']}", f"resume.{ready['resume']}"
    ) as again:
        await again.send("start")
        assert (await again.expect("ready"))["session"] == ready["session"]


@pytest.mark.parametrize(
    ("first", "code"),
    [('{"type": "end"}', "bad_message"), ("nonsense", "bad_message"), (b"\0" * 100, "bad_message"),
     ('{"type": "start", "rate_hz": 7999}', "bad_message"),
     ('{"type": "start", "rate_hz": 96000}', "bad_message"),
     ('{"type": "start", "rate_hz": 16000.5}', "bad_message"),
     ('{"type": "start", "channels": 3}', "bad_message"),
     ('{"type": "start", "format": "mp3"}', "bad_message"),
     ('{"type": "start", "session": "none"}', "no_session"),
     ('{"type": "start", "colour": 1}', "bad_message")],
)  # fmt: skip
async def test_a_bad_start_is_refused_with_a_reason(
    testcard_server: RealServer, first: str | bytes, code: str
) -> None:
    async with raw(testcard_server.url) as pcm:
        await pcm.socket.send(first)
        error = await pcm.expect("error")
        assert error["code"] == code
        assert error["message"]
        with pytest.raises(ConnectionClosed):
            await pcm.expect("ready")


async def test_a_wrong_token_and_a_strange_origin_are_refused(testcard_server: RealServer) -> None:
    async with listening(testcard_server.url) as ear:
        for protocols, code in (((), "no_token"), (("resume.wrong",), "bad_token")):
            session = ear.welcome["session"]
            async with raw(testcard_server.url, f"?session={session}", *protocols) as pcm:
                await pcm.send("start")
                assert (await pcm.expect("error"))["code"] == code
    with pytest.raises(InvalidStatus):
        async with raw(testcard_server.url, Origin="http://evil.example"):
            pass


async def test_bad_messages_later_are_answered_and_harm_nothing(
    testcard_server: RealServer,
) -> None:
    async with listening(testcard_server.url) as ear:
        async with speaking(testcard_server.url, ear) as pcm:
            for bad in ("nonsense", '{"type": "start"}', '{"type": "dance"}'):
                await pcm.socket.send(bad)
                assert (await pcm.expect("error"))["fatal"] is False
            await pcm.send("ping", t=3)
            assert (await pcm.expect("pong"))["t"] == 3


async def test_the_socket_ends_with_its_session(testcard_server: RealServer) -> None:
    async with control(testcard_server.url) as client:
        await client.send("hello")
        welcome = await client.expect("welcome")
        pcm_socket = raw(testcard_server.url)
        pcm = await pcm_socket.__aenter__()
        await pcm.send("start", session=welcome["session"], resume=welcome["resume"])
        await pcm.expect("ready")
    with pytest.raises(ConnectionClosed):
        await pcm.expect("never", timeout_s=8)
    await pcm_socket.__aexit__(None, None, None)


async def test_the_example_speaks_a_file(testcard_server: RealServer, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(bytes(4 * 44_100) + tone(4.0, 44_100))  # a second's silence, then two
    example = Path(__file__).parents[2] / "examples" / "pcm_client.py"
    url = testcard_server.url.replace("http", "ws") + "/ws/pcm"
    running = await asyncio.create_subprocess_exec(
        sys.executable, str(example), str(path), url, stdout=asyncio.subprocess.PIPE
    )
    assert running.stdout is not None
    ready = json.loads(await running.stdout.readline())
    whep = f"{testcard_server.url}/api/sessions/{ready['session']}/whep"
    viewer = await Receiver.pull(whep)
    output, _ = await asyncio.wait_for(running.communicate(), 30)
    await viewer.close()
    assert running.returncode == 0
    assert b"'type': 'played'" in output.splitlines()[-1] and b"'complete': True" in output
    assert len(viewer.reception.onsets_s) == 1
