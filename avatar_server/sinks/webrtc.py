"""The WebRTC sink: any number of viewers of one session, all fed with the same packets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from avatar_server.clock import Clock, MonotonicClock
from avatar_server.errors import ServerFull
from avatar_server.rtc.peer import Peer, RtcSettings, ViewerOffer
from avatar_server.sinks.base import Sound
from avatar_server.sinks.offset import OffsetSink
from sonic_stream.media import MediaPacket


class PeerSink:
    """One viewer."""

    kind = "webrtc"
    wants_opus = True

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    @property
    def codecs(self) -> frozenset[str]:
        return frozenset({self.peer.video_codec})

    def send_sound(self, sound: Sound) -> None:
        for packet in sound.opus:
            self.peer.send_audio(packet)

    def send_picture(self, packet: MediaPacket) -> None:
        if packet.codec == self.peer.video_codec:
            self.peer.send_video(packet)

    def status(self) -> Mapping[str, object]:
        return {}

    async def close(self) -> None:
        await self.peer.close()


class Viewers:
    """The peers of a session, each with an offset of its own. `on_change` learns that other
    codecs may be wanted, `on_keyframe` which one a viewer needs a key frame of."""

    kind = "webrtc"

    def __init__(
        self,
        settings: RtcSettings,
        limit: int,
        on_change: Callable[[], None],
        on_keyframe: Callable[[str], None],
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or MonotonicClock()
        self._settings = settings
        self._limit = limit
        self._on_change = on_change
        self._on_keyframe = on_keyframe
        self._peers: dict[str, OffsetSink] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._joining = 0

    def __len__(self) -> int:
        return len(self._peers)

    async def join(self, viewer: str, offer: ViewerOffer, *, offset_ms: int | None = None) -> Peer:
        """Answer a viewer's offer, replacing the viewer's former connection (whose offset it
        keeps unless it brings one).

        Raises `ServerFull` or `BadOffer`; the place is reserved before anything is awaited.
        """
        others = len(self._peers.keys() - {viewer})
        if others + self._joining >= self._limit:
            raise ServerFull(f"this session already has its {self._limit} viewers")
        self._joining += 1
        if offset_ms is None:
            offset_ms = self._peers[viewer].offset_ms if viewer in self._peers else 0
        try:
            await self.leave(viewer)
            peer = await Peer.answer(offer, settings=self._settings, on_keyframe=self._on_keyframe)
        finally:
            self._joining -= 1
        self._peers[viewer] = OffsetSink(PeerSink(peer), self._clock)
        self._peers[viewer].set_offset(offset_ms)
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
        sink = self._peers.get(viewer)
        if sink is not None and isinstance(sink.sink, PeerSink) and sink.sink.peer is peer:
            del self._peers[viewer], self._watchers[viewer]
            self._on_change()
            await sink.close()

    def has(self, viewer: str) -> bool:
        return viewer in self._peers

    @property
    def codecs(self) -> frozenset[str]:
        return frozenset[str]().union(*(peer.codecs for peer in self._peers.values()))

    @property
    def wants_opus(self) -> bool:
        return any(peer.wants_opus for peer in self._peers.values())

    def send_sound(self, sound: Sound) -> None:
        for peer in self._peers.values():
            peer.send_sound(sound)

    def send_picture(self, packet: MediaPacket) -> None:
        for peer in self._peers.values():
            peer.send_picture(packet)

    def find(self, viewer: str) -> OffsetSink | None:
        return self._peers.get(viewer)

    def silence(self) -> None:
        for peer in self._peers.values():
            peer.silence()

    def each(self) -> list[dict[str, object]]:
        return [
            {"id": viewer, "kind": peer.kind, **peer.status()}
            for viewer, peer in self._peers.items()
        ]

    def status(self) -> Mapping[str, object]:
        return {"viewers": len(self._peers)}

    async def close(self) -> None:
        await asyncio.gather(*(self.leave(viewer) for viewer in list(self._peers)))
