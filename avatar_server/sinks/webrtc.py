"""The WebRTC sink: any number of viewers of one session, all fed with the same packets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from avatar_server.errors import ServerFull
from avatar_server.rtc.peer import Peer, RtcSettings
from sonic_stream.media import MediaPacket


class Viewers:
    """The peers of a session. `on_codecs` learns which video codecs are wanted,
    `on_keyframe` which one a viewer needs a key frame of."""

    def __init__(
        self,
        settings: RtcSettings,
        limit: int,
        on_codecs: Callable[[frozenset[str]], None],
        on_keyframe: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._limit = limit
        self._on_codecs = on_codecs
        self._on_keyframe = on_keyframe
        self._peers: dict[str, Peer] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._joining = 0

    def __len__(self) -> int:
        return len(self._peers)

    async def join(self, viewer: str, sdp: str, *, want_mic: bool) -> Peer:
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
                sdp, settings=self._settings, want_mic=want_mic, on_keyframe=self._on_keyframe
            )
        finally:
            self._joining -= 1
        self._peers[viewer] = peer
        self._watchers[viewer] = asyncio.create_task(self._forget_when_closed(viewer, peer))
        self._codecs_changed()
        self._on_keyframe(peer.video_codec)
        return peer

    async def leave(self, viewer: str) -> None:
        peer = self._peers.pop(viewer, None)
        watcher = self._watchers.pop(viewer, None)
        if watcher is not None:
            watcher.cancel()
        if peer is not None:
            self._codecs_changed()
            await peer.close()

    async def _forget_when_closed(self, viewer: str, peer: Peer) -> None:
        await peer.wait_closed()
        if self._peers.get(viewer) is peer:
            del self._peers[viewer], self._watchers[viewer]
            self._codecs_changed()

    def has(self, viewer: str) -> bool:
        return viewer in self._peers

    def send_audio(self, packet: MediaPacket) -> None:
        for peer in self._peers.values():
            peer.send_audio(packet)

    def send_video(self, packet: MediaPacket) -> None:
        for peer in self._peers.values():
            if peer.video_codec == packet.codec:
                peer.send_video(packet)

    async def close(self) -> None:
        await asyncio.gather(*(self.leave(viewer) for viewer in list(self._peers)))

    def _codecs_changed(self) -> None:
        self._on_codecs(frozenset(peer.video_codec for peer in self._peers.values()))
