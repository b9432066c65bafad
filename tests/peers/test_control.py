"""The control socket and the HTTP interface of the real server."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import urllib.error
import urllib.request
import wave
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.peers.clients import accept, control, heartbeat, studio, viewer
from tests.peers.real_server import RealServer, real_server


def post(url: str, data: bytes, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, body = error.code, error.read()
    try:
        return status, json.loads(body)
    except ValueError:
        return status, body


def wav(seconds: float) -> bytes:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * 16000)) / 16000)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((tone * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


async def gone(server: RealServer, timeout_s: float) -> None:
    """Wait until the server has no session."""
    async with asyncio.timeout(timeout_s):
        while await asyncio.to_thread(server.sessions):
            await asyncio.sleep(0.1)


async def test_a_session_lives_from_hello_to_silence(testcard_server: RealServer) -> None:
    async with studio(testcard_server.url) as (client, welcome):
        assert welcome["engine"] == "testcard"
        assert welcome["latency_ms"] == 160
        assert welcome["portraits"][0]["id"] == "mira"
        await client.send("ping", t=42)
        assert (await client.expect("pong"))["t"] == 42
        stats = await client.expect("stats")
        assert stats["drops"] == 0
        assert welcome["session"] in [s["id"] for s in testcard_server.sessions()]
    await gone(testcard_server, 6.0)


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", '{"type": "say"}', '{"type": "set", "smoothing": 7}', '{"type": "x"}',
     '{"type": "play", "file": "none"}', '{"type": "portrait", "id": "none"}',
     '{"type": "offer", "sdp": "v=0 what"}', '{"type": "hello"}'],
)  # fmt: skip
async def test_bad_input_is_answered_and_harms_nothing(
    testcard_server: RealServer, text: str
) -> None:
    async with studio(testcard_server.url) as (client, _):
        await client.socket.send(text)
        error = await client.expect("error")
        assert error["message"]
        assert error["fatal"] is False
        await client.send("ping", t=1)
        await client.expect("pong")


async def test_settings_are_kept_and_told(testcard_server: RealServer) -> None:
    async with studio(testcard_server.url) as (client, _):
        await client.send("set", lip_sync_offset_ms=-120, motion_scale=0, expression="happy")
        while True:
            settings = (await client.expect("state"))["settings"]
            if settings["lip_sync_offset_ms"] == -120:
                break
        assert settings["motion_scale"] == 0
        assert settings["dynamic_scale"] == 1.0, "what was not set stays"


async def test_portraits_change_without_a_new_offer(testcard_server: RealServer) -> None:
    async with studio(testcard_server.url) as (client, welcome), viewer() as (peer, offer):
        await client.send("offer", sdp=offer)
        await accept(peer, (await client.expect("answer"))["sdp"])
        video = peer.getTransceivers()[1].receiver.track
        before = (await asyncio.wait_for(video.recv(), 10)).to_ndarray(format="rgb24")
        for portrait in welcome["portraits"][1:]:
            await client.send("portrait", id=portrait["id"])
            await client.expect("state", portrait=portrait["id"])
            assert await asyncio.to_thread(testcard_server.get, portrait["thumbnail"])
        for _ in range(25):
            after = (await asyncio.wait_for(video.recv(), 10)).to_ndarray(format="rgb24")
        body = np.s_[64:160]  # below the number, above the moving hand
        assert np.abs(after[body].astype(int) - before[body]).mean() > 3


async def test_the_server_says_when_it_is_full_and_frees_vanished_places(
    small_server: RealServer,
) -> None:
    await gone(small_server, 6.0)
    async with studio(small_server.url) as (first, _), studio(small_server.url) as (_, _):
        async with control(small_server.url) as third:
            await third.send("hello")
            refusal = await third.expect("error")
            assert (refusal["code"], refusal["fatal"]) == ("server_full", True)
            with pytest.raises(ConnectionClosed):
                await third.expect("welcome")
        # Cut without a goodbye: the place is free within five seconds.
        first.socket.transport.abort()
        async with asyncio.timeout(5.5):
            while len(await asyncio.to_thread(small_server.sessions)) > 1:
                await asyncio.sleep(0.1)


async def test_many_at_once_never_exceed_the_limit(small_server: RealServer) -> None:
    await gone(small_server, 6.0)

    async def knock() -> str:
        async with control(small_server.url) as client:
            await client.send("hello")
            message = json.loads(await asyncio.wait_for(client.socket.recv(), 15))
            await asyncio.sleep(1.0)
            return str(message["type"])

    answers = await asyncio.gather(*(knock() for _ in range(8)))
    assert sorted(answers) == ["error"] * 6 + ["welcome"] * 2


async def test_a_resume_token_brings_the_session_back(small_server: RealServer) -> None:
    await gone(small_server, 6.0)
    async with studio(small_server.url) as (client, welcome):
        await client.send("set", smoothing=0.9)
        await asyncio.sleep(0.2)
        client.socket.transport.abort()
    async with control(small_server.url) as again:
        await again.send("hello", session=welcome["session"], resume=welcome["resume"])
        back = await again.expect("welcome")
        assert back["session"] == welcome["session"]
        assert back["settings"]["smoothing"] == 0.9
    async with control(small_server.url) as thief:
        await thief.send("hello", session=welcome["session"], resume="guess")
        assert (await thief.expect("error"))["code"] == "bad_token"


async def test_viewers_watch_but_do_not_command(testcard_server: RealServer) -> None:
    async with studio(testcard_server.url) as (_, welcome):
        async with control(testcard_server.url) as client:
            await client.send("hello", role="viewer", session=welcome["session"])
            assert "resume" not in await client.expect("welcome")
            await client.send("stop")
            assert (await client.expect("error"))["code"] == "not_allowed"


async def test_any_whep_player_can_watch(testcard_server: RealServer) -> None:
    async with studio(testcard_server.url) as (_, welcome), viewer() as (peer, offer):
        path = f"{testcard_server.url}/api/sessions/{welcome['session']}/whep"
        status, answer = await asyncio.to_thread(post, path, offer.encode())
        assert status == 201
        await accept(peer, answer.decode())
        audio, video = (t.receiver.track for t in peer.getTransceivers())
        picture = await asyncio.wait_for(video.recv(), 10)
        assert (picture.width, picture.height) == (256, 256)
        assert (await asyncio.wait_for(audio.recv(), 10)).sample_rate == 48000
    status, _body = await asyncio.to_thread(post, path + "x", b"v=0")
    assert status == 404


async def test_a_worker_that_dies_is_replaced_and_the_session_goes_on() -> None:
    with real_server(engine={"name": "testcard", "size_px": 256}) as server:
        async with studio(server.url) as (client, _), viewer() as (peer, offer):
            await client.send("offer", sdp=offer)
            await accept(peer, (await client.expect("answer"))["sdp"])
            video = peer.getTransceivers()[1].receiver.track
            await asyncio.wait_for(video.recv(), 10)
            # The one with a stream started first; the spare came after it.
            os.kill(server.workers()[0], signal.SIGKILL)
            await client.expect("notice", code="worker_restarted")
            deadline = asyncio.get_running_loop().time() + 8
            stats = await client.expect("stats")
            while stats["fps"] < 20 and asyncio.get_running_loop().time() < deadline:
                await client.send("ping", t=0)
                stats = await client.expect("stats")
            assert stats["fps"] >= 20
            assert stats["worker_restarts"] == 1


async def test_uploads_are_checked(lite_server: RealServer) -> None:
    async with studio(lite_server.url) as (_, welcome):
        await asyncio.to_thread(check_uploads, lite_server.url, key(welcome))


def key(welcome: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {welcome['resume']}"}


def check_uploads(url: str, owner: dict[str, str]) -> None:
    status, body = post(url + "/api/files?name=tone.wav", wav(1.5), **owner)
    assert (status, body["duration_s"]) == (201, 1.5)
    for data in (b"", b"RIFF", b"\x00" * 5000, wav(1.0)[:40]):
        status, body = post(url + "/api/files", data, **owner)
        assert status == 422
        assert body["error"]["code"] == "bad_file"
    status, body = post(url + "/api/portraits", b"GIF89a" + b"\0" * 100, **owner)
    assert status == 422
    assert "PNG, JPEG or WebP" in body["error"]["message"]
    status, body = post(url + "/api/portraits", b"\0" * 12_000_001, **owner)
    assert (status, body["error"]["code"]) == (413, "too_large")


async def test_a_played_file_is_heard_and_ends(lite_server: RealServer) -> None:
    async with studio(lite_server.url) as (client, welcome), heartbeat(client):
        url = lite_server.url + "/api/files"
        _, file = await asyncio.to_thread(post, url, wav(1.0), **key(welcome))
        await client.send("play", file=file["id"])
        playing = await client.expect("state", source="file")
        assert playing["queue"] == 1
        await client.expect("state", source="file", speaking=True)
        await client.expect("state", source="idle", queue=0)


async def test_stop_silences_and_empties_the_queue(lite_server: RealServer) -> None:
    async with studio(lite_server.url) as (client, welcome), heartbeat(client):
        url = lite_server.url + "/api/files"
        _, file = await asyncio.to_thread(post, url, wav(5.0), **key(welcome))
        for _ in range(3):
            await client.send("play", file=file["id"])
        await client.expect("state", source="file", queue=3)
        await client.send("stop")
        await client.expect("state", source="idle", queue=0, timeout_s=1.0)


def test_health_and_metrics(lite_server: RealServer) -> None:
    assert lite_server.get("/healthz") == b"ok\n"
    assert lite_server.get("/readyz") == b"ready\n"
    text = lite_server.get("/metrics").decode()
    assert "avatar_sessions" in text
    assert "avatar_stage_ms" in text


async def test_strangers_are_refused(testcard_server: RealServer) -> None:
    with pytest.raises(InvalidStatus):
        async with control(testcard_server.url, Origin="http://evil.example"):
            pass
    stranger = {"Host": "evil.example"}
    status, _ = await asyncio.to_thread(post, testcard_server.url + "/api/files", b"", **stranger)
    assert status == 403


async def test_sigterm_drains_and_ends() -> None:
    with real_server(engine={"name": "testcard", "size_px": 128}) as server:
        async with studio(server.url) as (client, _):
            server.process.terminate()
            await client.expect("notice", code="draining")
            async with control(server.url) as late:
                await late.send("hello")
                assert (await late.expect("error"))["code"] == "draining"
        assert await asyncio.to_thread(server.process.wait, 15) == 0
