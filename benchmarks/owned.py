"""A session of the benchmark's own on a real server: commands, viewers, sound put in."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
from aiortc import RTCSessionDescription
from websockets.asyncio.client import connect

from avatar_server.rtc.aiortc_internals import host_addresses
from benchmarks.sounds import beeps
from tests.peers.real_server import RealServer
from tests.peers.rest import call
from tests.peers.whip import Receiver

RATE_HZ = 48_000
PIECE = 960


@dataclass(frozen=True)
class Owned:
    server: RealServer
    ident: str
    token: str

    @classmethod
    async def create(cls, server: RealServer) -> Owned:
        wanted = {"keep_alive_s": 3600}
        status, made = await asyncio.to_thread(call, server, "POST", "/api/sessions", wanted)
        assert status == 201, made
        return cls(server, made["id"], made["token"])

    @property
    def studio_url(self) -> str:
        return f"{self.server.url}/#session={quote(self.ident)}&token={quote(self.token)}"

    @property
    def obs_url(self) -> str:
        return f"{self.server.url}/obs?session={quote(self.ident)}"

    async def command(self, **message: object) -> dict[str, Any]:
        path = f"/api/sessions/{quote(self.ident)}/commands"
        status, answer = await asyncio.to_thread(
            call, self.server, "POST", path, message, self.token
        )
        assert status == 200, answer
        facts: dict[str, Any] = answer
        return facts

    async def end(self) -> None:
        path = f"/api/sessions/{quote(self.ident)}"
        await asyncio.to_thread(call, self.server, "DELETE", path, None, self.token)

    @asynccontextmanager
    async def receiver(self, query: str = "", codec: str = "") -> AsyncIterator[Receiver]:
        """A WHEP viewer that notes everything when it arrives; `codec`: only this one."""
        receiver = Receiver()
        try:
            receiver.peer.addTransceiver("audio", direction="recvonly")
            video = receiver.peer.addTransceiver("video", direction="recvonly")
            if codec:
                from aiortc import RTCRtpReceiver

                all_codecs = RTCRtpReceiver.getCapabilities("video").codecs
                video.setCodecPreferences([c for c in all_codecs if c.name.lower() == codec])
            with host_addresses(("127.0.0.1",)):
                await receiver.peer.setLocalDescription(await receiver.peer.createOffer())
            offer = receiver.peer.localDescription.sdp.encode()
            path = f"/api/sessions/{quote(self.ident)}/whep{query}"
            status, answer = await asyncio.to_thread(call, self.server, "POST", path, offer)
            assert status == 201, answer
            await receiver.peer.setRemoteDescription(
                RTCSessionDescription(sdp=answer.decode(), type="answer")
            )
            yield receiver
        finally:
            await receiver.close()


@asynccontextmanager
async def pcm(owned: Owned) -> AsyncIterator[Any]:
    """A socket that takes s16 mono 48 kHz, and what it tells is read."""
    address = owned.server.url.replace("http://", "ws://") + "/ws/pcm"
    options: dict[str, Any] = {"ping_interval": None, "compression": None}
    async with connect(address, subprotocols=["avatar.pcm.v1"], **options) as socket:  # type: ignore[list-item]
        start = {"type": "start", "session": owned.ident, "resume": owned.token}
        await socket.send(json.dumps(start))
        ready = json.loads(await socket.recv())
        assert ready["type"] == "ready", ready
        reading = asyncio.create_task(_read_on(socket))
        try:
            yield socket
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _read_on(socket: Any) -> None:
    async for _ in socket:
        pass


@asynccontextmanager
async def pcm_beeps(owned: Owned) -> AsyncIterator[list[float]]:
    """Beeps in real time for as long as the block lasts; the times at which each was sent."""
    entered_s: list[float] = []
    async with pcm(owned) as socket:
        feeding = asyncio.create_task(_feed(socket, entered_s))
        try:
            yield entered_s
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)


async def _feed(socket: Any, entered_s: list[float]) -> None:
    sound = (32767 * beeps(1200)).astype("<i2")
    loud = np.abs(sound) > 0
    start_s, quiet = time.monotonic(), 0
    for piece in range(len(sound) // PIECE):
        await asyncio.sleep(max(start_s + piece * PIECE / RATE_HZ - time.monotonic(), 0))
        part = slice(piece * PIECE, (piece + 1) * PIECE)
        if loud[part].any():
            if quiet > 10:
                first = int(np.flatnonzero(loud[part])[0])
                entered_s.append(time.monotonic() + first / RATE_HZ)
            quiet = 0
        else:
            quiet += 1
        await socket.send(sound[part].tobytes())
