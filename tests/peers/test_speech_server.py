"""Another voice in the real server: an OpenAI-compatible endpoint on loopback, good and bad."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from tests.avatar_server.sources.test_engines import KEY, Endpoint, refusal
from tests.peers.listening import RATE_HZ, Ear, listening
from tests.peers.real_server import real_server


@asynccontextmanager
async def speaking(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Endpoint, Ear]]:
    monkeypatch.setenv("SPEECH_KEY", KEY)
    endpoint = Endpoint()
    port_holder = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    port = port_holder.sockets[0].getsockname()[1]
    sections: dict[str, dict[str, object]] = {
        "engine": {"name": "testcard", "size_px": 128},
        "speech": {"engine": "openai"},
        "speech.settings": {
            "base_url": f"http://127.0.0.1:{port}/v1",
            "voices": ["nova"],
            "key_env": "SPEECH_KEY",
        },
    }
    with real_server(**sections) as server:
        async with listening(server.url) as ear:
            yield endpoint, ear
    port_holder.close()


async def test_its_voice_is_heard_with_captions_and_its_refusal_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with speaking(monkeypatch) as (endpoint, ear):
        assert ear.welcome["voices"] == [{"id": "nova", "name": "nova", "language": "und"}]
        await ear.client.send("say", text="One two. Three.", voice="nova")
        first = await ear.message("caption", final=True)
        assert (first["text"], first["end_ms"] - first["start_ms"]) == ("One two.", 600)
        assert [word["text"] for word in first["words"]] == ["One", "two."]
        await ear.message("caption", text="Three.", final=True)
        await ear.voice()
        await ear.quiet()
        sound = ear.sound
        loud = np.flatnonzero(np.abs(sound) > 0.05)
        assert loud[-1] - loud[0] == pytest.approx(1.2 * RATE_HZ, abs=960), "sentences join"
        spectrum = np.abs(np.fft.rfft(sound[loud[0] : loud[0] + 48_000]))
        assert np.argmax(spectrum) == pytest.approx(440, abs=3)
        endpoint.answer = refusal(401, f'{{"error": "no such key {KEY}"}}')
        await ear.client.send("say", text="Hello")
        told = await ear.message("notice", code="no_voice")
        assert "key_env" in told["message"]
        assert KEY not in told["message"]
        await ear.message("state", source="idle", queue=0)
