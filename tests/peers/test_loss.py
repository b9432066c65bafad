"""A microphone and a picture across a bad network: nothing stalls, and no delay piles up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)

from avatar_server.rtc.aiortc_internals import host_addresses
from avatar_server.rtc.peer import Peer, RtcSettings, ViewerOffer
from avatar_server.worker.encoders import open_encoder
from tests.peers.udp_proxy import Address, Weather, relay

SECONDS = 8.0


class Tone(MediaStreamTrack):
    """A microphone that never stops humming."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._pts = 0
        self._start_s = asyncio.get_running_loop().time()

    async def recv(self) -> av.AudioFrame:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(self._start_s + self._pts / 48_000 - loop.time(), 0))
        time = np.arange(self._pts, self._pts + 960) / 48_000
        samples = (10_000 * np.sin(2 * np.pi * 300 * time)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(samples, 2)[None], layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self._pts, Fraction(1, 48_000)
        self._pts += 960
        return frame


def through(sdp: str, address: Address) -> str:
    """A description whose candidates are the relay's address."""
    return re.sub(r"(a=candidate:\S+ 1 udp \d+) \S+ \d+", rf"\1 {address[0]} {address[1]}", sdp)


async def feed(peer: Peer, wanted: asyncio.Event) -> None:
    """25 pictures a second, with a key frame whenever one is asked for."""
    encoder = open_encoder("vp8", 128, Fraction(25), 300_000)
    rng = np.random.default_rng(0)
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    for pts in range(10_000):
        picture = rng.integers(0, 255, (128, 128, 3), np.uint8)
        packet = encoder.encode(picture, pts, keyframe=wanted.is_set())
        wanted.clear()
        if packet is not None:
            peer.send_video(packet)
        await asyncio.sleep(max(start_s + (pts + 1) / 25 - loop.time(), 0))


async def listen(peer: Peer, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """What a session would hear, and the buffer's level in milliseconds, tick by tick."""
    assert peer.mic is not None
    loop = asyncio.get_running_loop()
    start_s, heard, levels = loop.time(), [], []
    for tick in range(int(seconds * 50)):
        heard.append(peer.mic.read(960))
        levels.append(peer.mic.stats()["level_ms"])
        await asyncio.sleep(max(start_s + (tick + 1) * 0.02 - loop.time(), 0))
    return np.concatenate(heard), np.array(levels)


async def watch(track: MediaStreamTrack, gaps_s: list[float]) -> None:
    loop = asyncio.get_running_loop()
    last_s = None
    while True:
        await track.recv()
        if last_s is not None:
            gaps_s.append(loop.time() - last_s)
        last_s = loop.time()


async def ask_again(receiver: RTCRtpReceiver) -> None:
    """Every 50 ms for what is still missing, as browsers do; aiortc asks at the next loss only."""
    while True:
        await asyncio.sleep(0.05)
        missing = sorted(receiver._RTCRtpReceiver__nack_generator.missing)
        for ssrc in [*receiver._RTCRtpReceiver__remote_streams][:1] if missing else []:
            await receiver._send_rtcp_nack(ssrc, missing)


@asynccontextmanager
async def connected(
    near: Address, far: Address, wanted: asyncio.Event
) -> AsyncIterator[tuple[RTCPeerConnection, Peer]]:
    """A client with a microphone and a peer of ours that only meet through the relay."""
    client = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        client.addTrack(Tone())
        client.addTransceiver("video", direction="recvonly")
        with host_addresses(("127.0.0.1",)):
            await client.setLocalDescription(await client.createOffer())
        peer = await Peer.answer(
            ViewerOffer(through(client.localDescription.sdp, far), want_mic=True),
            settings=RtcSettings(host_addresses=("127.0.0.1",)),
            on_keyframe=lambda codec: wanted.set(),
        )
        try:
            answer = RTCSessionDescription(sdp=through(peer.answer_sdp, near), type="answer")
            await client.setRemoteDescription(answer)
            async with asyncio.timeout(20):
                await peer.wait_connected()
            yield client, peer
        finally:
            await peer.close()
    finally:
        await client.close()


@pytest.mark.parametrize(
    "weather",
    [Weather(), Weather(loss=0.02), Weather(loss=0.05), Weather(delay_ms=10, jitter_ms=50)],
    ids=["clean", "2 %", "5 %", "jitter"],
)
async def test_bad_weather_neither_stalls_nor_piles_up_delay(weather: Weather) -> None:
    wanted, gaps_s = asyncio.Event(), list[float]()
    async with relay(weather) as (near, far), connected(near, far, wanted) as (client, peer):
        video = client.getTransceivers()[1].receiver
        tasks = [
            asyncio.create_task(feed(peer, wanted)),
            asyncio.create_task(watch(video.track, gaps_s)),
            asyncio.create_task(ask_again(video)),
        ]
        heard, levels = await listen(peer, SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    settled = heard[int(1.5 * 48_000) :]
    loud = np.abs(settled[: len(settled) // 480 * 480]).reshape(-1, 480).max(1) > 0.01
    silences = np.diff(np.flatnonzero(np.concatenate([[True], loud, [True]]))) - 1
    assert silences.max() * 10 < 200, "the voice did not stall"
    assert np.median(levels[-100:]) < 200, "no delay piled up"
    assert len(gaps_s) > 0.5 * 25 * SECONDS
    assert max(gaps_s[10:]) < 0.5, "the picture went on"
