"""The server's own microphone and loudspeaker, by the real PortAudio: heard, and played again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from tests.peers import sound_card
from tests.peers.clients import heartbeat, studio
from tests.peers.real_server import real_server
from tests.peers.sound_card import LOUDSPEAKER, MICROPHONE

pytestmark = pytest.mark.skipif(bool(sound_card.missing()), reason=sound_card.missing() or "here")


async def test_what_the_microphone_hears_the_loudspeaker_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tone = 0.4 * np.sin(2 * np.pi * 440 * np.arange(48_000 * 60) / 48_000)
    with sound_card.sound_card(tmp_path, monkeypatch) as card:
        card.hear(tone.astype(np.float32))
        engine = {"name": "testcard", "size_px": 128}
        with real_server(engine=engine, local={"microphone": True}) as server:
            microphones = [m["name"] for m in json.loads(server.get("/api/microphones"))]
            assert MICROPHONE in microphones
            async with studio(server.url) as (client, _), heartbeat(client):
                await client.send("source", kind="local", device=MICROPHONE)
                await client.expect("state", source="local")
                await client.send("sink_open", id="room", kind="speaker", device=LOUDSPEAKER)
                await asyncio.sleep(4)
                await client.send("sink_open", id="none", kind="speaker", device="no such")
                failed = await client.expect("notice", timeout_s=10)
                assert "cannot be opened" in failed["message"]
                assert f"there are: {LOUDSPEAKER}" in failed["message"].replace("out, ", "")
        late = card.played[-48_000:]
    spectrum = np.abs(np.fft.rfft(late))
    assert np.argmax(spectrum) == pytest.approx(440, abs=3)
    assert np.abs(late).max() == pytest.approx(0.4, abs=0.05)
