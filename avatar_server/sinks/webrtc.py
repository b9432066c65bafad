"""The WebRTC sink: any number of viewers of one session, all fed with the same packets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from avatar_server.errors import ServerFull
from avatar_server.rtc.peer import Peer, RtcSettings
from avatar_server.sinks.base import Sound
from sonic_stream.media import MediaPacket


class Viewers:
    """The peers of a session. `on_change` learns that other codecs may be wanted,
    `on_keyframe` which one a viewer needs a key frame of."""

    kind = "webrtc"

    def __init__(
        self,
        settings: RtcSettings,
        limit: int,
        on_change: Callable[[], None],
        on_keyframe: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._limit = limit
        self._on_change = on_change
        self._on_keyframe = on_keyframe
        self._peers: dict[str, Peer] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._joining = 0

    def __len__(self) -> int:
        return len(self._peers)

    async def join(self, viewer: str, sdp: str, *, want_mic: bool, alpha: bool = False) -> Peer:
        """Answer a viewer's offer, replacing the viewer's former connection.

        Raises `ServerFull` or `BadOffer`; the place is reserved before anything is awaited.
        """
        others = len(self._peers.keys() - {viewer})
        if others + self._joining >= self._limit:
            raise ServerFull(f"this session already has its {self._limit} viewers")
        self._joining += 1
        try:
            await self.leave(viewer)
            peer = await Peer.answer(
                sdp, settings=self._settings, want_mic=want_mic, alpha=alpha,
                on_keyframe=self._on_keyframe,
            )  # fmt: skip
        finally:
            self._joining -= 1
        self._peers[viewer] = peer
        self._watchers[viewer] = asyncio.create_task(self._forget_when_closed(viewer, peer))
        self._on_change()
        self._on_keyframe(peer.video_codec)
        return peer

    async def leave(self, viewer: str) -> None:
        peer = self._peers.pop(viewer, None)
        watcher = self._watchers.pop(viewer, None)
        if watcher is not None:
            watcher.cancel()
        if peer is not None:
            self._on_change()
            await peer.close()

    async def _forget_when_closed(self, viewer: str, peer: Peer) -> None:
        await peer.wait_closed()
        if self._peers.get(viewer) is peer:
            del self._peers[viewer], self._watchers[viewer]
            self._on_change()

    def has(self, viewer: str) -> bool:
        return viewer in self._peers

    @property
    def codecs(self) -> frozenset[str]:
        return frozenset(peer.video_codec for peer in self._peers.values())

    @property
    def wants_opus(self) -> bool:
        return bool(self._peers)

    def send_sound(self, sound: Sound) -> None:
        for packet in sound.opus:
            for peer in self._peers.values():
                peer.send_audio(packet)

    def send_picture(self, packet: MediaPacket) -> None:
        for peer in self._peers.values():
            if peer.video_codec == packet.codec:
                peer.send_video(packet)

    def status(self) -> Mapping[str, object]:
        return {"viewers": len(self._peers)}

    async def close(self) -> None:
        await asyncio.gather(*(self.leave(viewer) for viewer in list(self._peers)))
