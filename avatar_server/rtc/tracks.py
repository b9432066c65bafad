"""Outgoing tracks that carry packets encoded elsewhere."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from sonic_stream.media import MediaPacket


class PacketTrack(MediaStreamTrack):
    """Hands each packet to aiortc's sender, which only packetizes it.

    Bounded: a video track that overflows drops up to the next key frame and asks for one, an
    audio track drops its oldest packet. A video track starts with a key frame.
    """

    def __init__(self, kind: str, on_keyframe_needed: Callable[[], None], size: int = 25) -> None:
        self.kind = kind
        super().__init__()
        self._packets: deque[MediaPacket] = deque()
        self._arrived = asyncio.Event()
        self._size = size
        self._needs_keyframe = kind == "video"
        self._on_keyframe_needed = on_keyframe_needed
        self.dropped = 0

    def send(self, packet: MediaPacket) -> None:
        if self.kind == "video":
            if len(self._packets) >= self._size:
                self.dropped += len(self._packets)
                self._packets.clear()
                self._needs_keyframe = True
                self._on_keyframe_needed()
            if self._needs_keyframe and not packet.keyframe:
                self.dropped += 1
                return
            self._needs_keyframe = False
        elif len(self._packets) >= self._size:
            self._packets.popleft()
            self.dropped += 1
        self._packets.append(packet)
        self._arrived.set()

    async def recv(self) -> av.Packet:
        while not self._packets:
            if self.readyState != "live":
                raise MediaStreamError
            self._arrived.clear()
            await self._arrived.wait()
        packet = self._packets.popleft()
        encoded = av.Packet(packet.data)
        encoded.pts = encoded.dts = packet.pts
        encoded.time_base = packet.time_base
        return encoded

    def stop(self) -> None:
        super().stop()
        self._arrived.set()
