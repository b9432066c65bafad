"""Which source drives: bases, talk-over, barge-in by voice."""

from __future__ import annotations

import numpy as np
import pytest

from avatar_server.protocol import Settings
from avatar_server.voice import Voice
from tests.avatar_server.sources.contract import babble, spoken
from tests.avatar_server.sources.test_microphone import Recorded
from tests.avatar_server.sources.test_playlist import Steady

TICK = 960


async def test_a_microphone_drives_only_when_selected_and_nothing_plays() -> None:
    voice = Voice()
    voice.attach("mic", Recorded(np.full(100 * TICK, 0.25, np.float32)))
    assert not voice.read(TICK).any()
    voice.select("mic")
    assert (voice.read(TICK) == 0.25).all()
    voice.enqueue(Steady(3 * TICK, 0.5))
    assert voice.kind == "file"
    assert voice.read(2 * TICK).max() == 0.5, "the microphone is not mixed in"
    voice.playlist.paused = True
    voice.read(TICK)
    assert (voice.kind, voice.read(TICK).max()) == ("mic", 0.25)
    await voice.close()


async def test_a_microphone_holds_no_past() -> None:
    voice = Voice()
    microphone = Recorded(np.concatenate([np.full(5 * TICK, 0.9), np.full(5 * TICK, 0.1)]))
    voice.attach("mic", microphone)
    for _ in range(5):
        voice.read(TICK)
    voice.select("mic")
    assert voice.read(TICK).max() == pytest.approx(0.1)


@pytest.mark.parametrize(("wish", "expected"), [("voice", True), ("off", False)])
async def test_talk_interrupts_only_when_wished(wish: str, expected: bool) -> None:
    speech = await spoken("Excuse me, may I say something?")
    noise = babble(8, 0.003)
    noise[3 * 48_000 : 3 * 48_000 + len(speech)] += speech[: len(noise) - 3 * 48_000]
    voice = Voice()
    voice.attach("mic", Recorded(noise))
    voice.configure(Settings.model_validate({"barge_in": wish}))
    voice.enqueue(Steady(10**7, 0.1))
    first = None
    for tick in range(250):
        voice.read(TICK)
        if voice.talked_over and first is None:
            first = tick * 0.02
    assert (first is not None) == expected
    if first is not None:
        assert 3.08 < first < 3.6
    await voice.close()


async def test_talk_with_nothing_playing_interrupts_nothing() -> None:
    speech = await spoken("Excuse me, may I say something?")
    voice = Voice()
    voice.attach("mic", Recorded(np.concatenate([np.zeros(48_000, np.float32), speech])))
    voice.configure(Settings(barge_in="voice"))
    for _ in range(150):
        voice.read(TICK)
        assert not voice.talked_over
