"""Speech, captions, the queue and barge-in in the real server, as a viewer hears them."""

from __future__ import annotations

import asyncio
import io
import time
import wave

import numpy as np
import pytest

from tests.peers.clients import control
from tests.peers.listening import RATE_HZ, Ear, listening
from tests.peers.real_server import RealServer
from tests.peers.rest import call

pytest.importorskip("espeakng_loader", reason="the embedded voice is not installed")

TEXT = "One, two, three. Four, five, six. " * 20


def upload(server: RealServer, token: str, hz: float, seconds: float = 1.0) -> str:
    """The id of a tone."""
    sound = 0.4 * np.sin(2 * np.pi * hz * np.arange(int(seconds * 16_000)) / 16_000)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.asarray(sound * 32767, "<i2").tobytes())
    status, file = call(server, "POST", "/api/files", buffer.getvalue(), token)
    assert status == 201
    return str(file["id"])


def pitch(sound: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum) * RATE_HZ / len(sound))


async def hears(ear: Ear, hz: float, timeout_s: float = 15.0) -> None:
    """Wait until this is what is heard, for 0.3 s."""
    async with asyncio.timeout(timeout_s):
        while len(ear.pieces) < 15 or abs(pitch(np.concatenate(ear.pieces[-15:])) - hz) > 5:
            await asyncio.sleep(0.05)


async def test_captions_are_told_as_they_are_heard_to_viewers_too(
    testcard_server: RealServer,
) -> None:
    url, server = testcard_server.url, testcard_server
    async with listening(url) as ear, control(url) as watcher:
        await watcher.send("hello", role="viewer", session=ear.welcome["session"])
        await watcher.expect("welcome")
        await ear.quiet()
        await ear.client.send("say", text="One, two. Three four!")
        seen = await watcher.expect("caption")
        arrived = time.monotonic()
        first = await ear.message("caption")
        assert first == seen
        assert first["text"] == "One, two."
        assert [word["text"] for word in first["words"]] == ["One,", "two."]
        heard = ear.voice_since_s(0)
        second = await ear.message("caption", text="Three four!")
        assert second["start_ms"] == first["end_ms"]
        assert second["words"][0]["start_ms"] == second["start_ms"]
        await ear.message("caption", text="Three four!", final=True)
        await ear.voice()
        await ear.quiet()
        path = f"/api/sessions/{ear.welcome['session']}/captions.vtt"
        text = (await asyncio.to_thread(server.get, path)).decode()
    assert text.startswith("WEBVTT\n\n00:")
    assert text.count(" --> ") == 2
    heard = heard or ear.voice_since_s(0)
    assert heard is not None
    assert abs(heard - arrived) < 1.0, "a caption comes with its sound"
    sound = ear.sound
    loud = np.flatnonzero(np.abs(sound) > 0.02)
    spoken_ms = (second["end_ms"] - first["start_ms"]) * RATE_HZ / 1000
    assert loud[-1] - loud[0] == pytest.approx(spoken_ms, abs=0.6 * RATE_HZ)


async def test_an_interruption_is_silent_and_tells_what_was_heard(
    testcard_server: RealServer,
) -> None:
    async with listening(testcard_server.url) as ear:
        await ear.client.send("source", kind="mic")
        await ear.client.send("say", text=TEXT)
        await ear.client.send("say", text="Never heard.")
        await ear.message("caption", text="Four, five, six.")
        ear.forget()
        await ear.client.send("interrupt")
        told = await ear.message("interrupted")
        await ear.message("state", source="mic", queue=0)
        assert (told["kind"], told["by"]) == ("tts", "command")
        assert told["last_word"] in ("Four,", "five,", "six.", "One,", "two,", "three.")
        assert told["remaining_text"].endswith("six.")
        assert told["remaining_text"] in TEXT
        assert told["seconds"] > 1
        cut = await ear.message("caption", end_ms=told["media_ms"])
        assert cut["final"]
        assert cut["words"][-1]["text"] == told["last_word"]
        await ear.quiet(timeout_s=5)


async def test_nothing_playing_is_interrupted_as_well(testcard_server: RealServer) -> None:
    async with listening(testcard_server.url) as ear:
        await ear.client.send("interrupt")
        assert (await ear.message("interrupted"))["seconds"] == 0.0


async def test_voices_rates_and_bad_texts(testcard_server: RealServer) -> None:
    async with listening(testcard_server.url) as ear:
        await ear.client.send("say", text="Hello", voice="nobody")
        assert (await ear.message("error"))["code"] == "no_voice"
        for rate in (0.1, 9):
            ear.forget()
            await ear.client.send("say", text="Hello", rate=rate)
            assert "rate" in (await ear.message("error"))["message"]
        ear.forget()
        await ear.client.send("say", text="Hello there", voice="en-gb", rate=1.4)
        await ear.message("caption", text="Hello there")


async def test_files_play_one_after_the_other_skip_go_back_and_loop(
    testcard_server: RealServer,
) -> None:
    async with listening(testcard_server.url) as ear:
        for hz in (400, 600, 800):
            token = ear.welcome["resume"]
            file = await asyncio.to_thread(upload, testcard_server, token, hz, 30)
            await ear.client.send("play", file=file)
        await ear.message("state", source="file", queue=3, speaking=True)
        await hears(ear, 400)
        ear.forget()
        await ear.client.send("skip")
        assert (await ear.message("interrupted"))["by"] == "skip"
        await hears(ear, 600)
        await ear.client.send("skip", to="previous")
        await hears(ear, 400)
        ear.forget()
        await ear.client.send("stop")
        await ear.message("state", source="idle", queue=0)


async def test_loop_pause_and_volume(testcard_server: RealServer) -> None:
    async with listening(testcard_server.url) as ear:
        token = ear.welcome["resume"]
        file = await asyncio.to_thread(upload, testcard_server, token, 500, 2.0)
        await ear.client.send("set", loop=True, volume=0.5)
        await ear.client.send("play", file=file)
        await ear.message("state", source="file", speaking=True)
        await ear.voice()
        await asyncio.sleep(5.0)
        await hears(ear, 500)  # two seconds of it again and again
        assert np.abs(np.concatenate(ear.pieces[-15:])).max() == pytest.approx(0.2, rel=0.1)
        ear.forget()
        await ear.client.send("pause")
        await ear.message("state", source="idle", paused=True, queue=1)
        await ear.quiet()
        await ear.client.send("resume")
        await ear.message("state", source="file", paused=False)
        ear.forget()
        await ear.client.send("stop")
        await ear.message("state", source="idle")
        await ear.quiet()


async def test_a_missing_file_or_microphone_is_told(testcard_server: RealServer) -> None:
    async with listening(testcard_server.url) as ear:
        await ear.client.send("source", kind="local")
        error = await ear.message("error")
        assert error["code"] == "not_allowed"
        assert "local.microphone" in error["message"]
