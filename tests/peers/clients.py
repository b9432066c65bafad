"""Clients of the real server that are no browsers: a control socket and an aiortc viewer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from websockets.asyncio.client import ClientConnection, connect

from avatar_server.protocol import SUBPROTOCOL
from avatar_server.rtc.aiortc_internals import host_addresses


class Control:
    """Speaks docs/protocol.md."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, kind: str, /, **fields: object) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def expect(self, kind: str, timeout_s: float = 10.0, **fields: object) -> dict[str, Any]:
        """The next message of this type whose fields have these values; others are skipped."""
        async with asyncio.timeout(timeout_s):
            while True:
                message: dict[str, Any] = json.loads(await self.socket.recv())
                if message["type"] == kind and fields.items() <= message.items():
                    return message


@asynccontextmanager
async def control(url: str, **headers: str) -> AsyncIterator[Control]:
    address = url.replace("http://", "ws://") + "/ws"
    async with connect(
        address, subprotocols=[SUBPROTOCOL], additional_headers=headers, ping_interval=None
    ) as socket:
        yield Control(socket)


@asynccontextmanager
async def studio(url: str) -> AsyncIterator[tuple[Control, dict[str, Any]]]:
    """A control socket with a session of its own, and its welcome."""
    async with control(url) as client:
        await client.send("hello")
        yield client, await client.expect("welcome")


@asynccontextmanager
async def heartbeat(client: Control) -> AsyncIterator[None]:
    """Signs of life, for tests that are busy with something else for longer."""

    async def beat() -> None:
        while True:
            await client.send("ping")
            await asyncio.sleep(1)

    heart = asyncio.create_task(beat())
    try:
        yield
    finally:
        heart.cancel()
        await asyncio.gather(heart, return_exceptions=True)


@asynccontextmanager
async def viewer(codec: str = "") -> AsyncIterator[tuple[RTCPeerConnection, str]]:
    """A receiving peer connection on loopback and its offer, of one video codec if named."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("audio", direction="recvonly")
    video = peer.addTransceiver("video", direction="recvonly")
    if codec:
        known = RTCRtpReceiver.getCapabilities("video").codecs
        video.setCodecPreferences([c for c in known if c.mimeType.lower() == f"video/{codec}"])
    try:
        with host_addresses(("127.0.0.1",)):
            await peer.setLocalDescription(await peer.createOffer())
        yield peer, peer.localDescription.sdp
    finally:
        await peer.close()


async def accept(peer: RTCPeerConnection, sdp: str) -> None:
    await peer.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="answer"))
