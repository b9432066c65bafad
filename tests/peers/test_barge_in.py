"""Talking over the avatar, through a real microphone track into the real server."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection

from avatar_server.rtc.aiortc_internals import host_addresses
from tests.avatar_server.sources.contract import babble, spoken
from tests.peers.clients import accept, studio
from tests.peers.listening import RATE_HZ, Ear
from tests.peers.real_server import RealServer


class Talker(MediaStreamTrack):
    """A microphone: quiet room noise, and `say` puts speech into it."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._room = babble(4, 0.002)
        self._speech = np.zeros(0, np.float32)
        self._pts = 0
        self._start = 0.0

    def say(self, speech: np.ndarray) -> None:
        self._speech = speech

    async def recv(self) -> av.AudioFrame:
        loop = asyncio.get_running_loop()
        self._start = self._start or loop.time()
        await asyncio.sleep(max(0, self._start + self._pts / RATE_HZ - loop.time()))
        samples = self._room[self._pts % (len(self._room) - 960) :][:960].copy()
        samples[: len(self._speech[:960])] += self._speech[:960]
        self._speech = self._speech[960:]
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self._pts, Fraction(1, RATE_HZ)
        self._pts += 960
        return frame


@pytest.mark.parametrize("wish", ["voice", "off"])
async def test_talk_interrupts_speech_where_it_is_wished(
    testcard_server: RealServer, wish: str
) -> None:
    speech = await spoken("Excuse me, I would like to say something now, please.")
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    talker = Talker()
    peer.addTrack(talker)
    peer.addTransceiver("video", direction="recvonly")
    try:
        with host_addresses(("127.0.0.1",)):
            await peer.setLocalDescription(await peer.createOffer())
        async with studio(testcard_server.url) as (client, welcome):
            ear = Ear(client, welcome)
            await client.send("offer", sdp=peer.localDescription.sdp)
            await accept(peer, (await client.expect("answer"))["sdp"])
            tasks = [
                asyncio.create_task(work)
                for work in (
                    ear.hear(peer.getTransceivers()[0].receiver.track),
                    ear.attend(),
                    ear.keep_alive(),
                )
            ]
            await client.send("set", barge_in=wish)
            await client.send("say", text="One, two, three, four, five, six, seven. " * 10)
            await ear.message("caption")
            await asyncio.sleep(2.0)  # the room is known
            assert not [m for m in ear.messages if m["type"] == "interrupted"]
            talker.say(np.tile(speech, 3))
            if wish == "voice":
                told = await ear.message("interrupted", timeout_s=12.0)
                assert (told["by"], told["kind"]) == ("voice", "tts")
                assert told["last_word"]
                await ear.message("state", source="idle", queue=0)
                await ear.quiet(timeout_s=5)
            else:
                with pytest.raises(TimeoutError):
                    await ear.message("interrupted", timeout_s=2.0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await peer.close()
