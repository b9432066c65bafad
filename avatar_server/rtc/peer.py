"""One client's peer connection: answers an offer, sends packets, receives a microphone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiortc import (
    InvalidStateError,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)

from avatar_server.errors import AvatarError
from avatar_server.rtc.aiortc_internals import (
    divert_audio,
    host_addresses,
    on_keyframe_request,
    prefer_codecs,
)
from avatar_server.rtc.opus import OpusDecoder
from avatar_server.rtc.receive import MicBuffer
from avatar_server.rtc.tracks import PacketTrack
from avatar_server.worker.stacking import ALPHA
from sonic_stream.media import MediaPacket

ANSWER_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 20.0
CLOSE_TIMEOUT_S = 2.0


class BadOffer(AvatarError):
    code = "bad_offer"


@dataclass(frozen=True, slots=True)
class RtcSettings:
    """`ice_servers`: "stun:host:port" or "turn:user:password@host:port"; none by default.
    `host_addresses`: offer only these local addresses in ICE; empty: all but loopback."""

    ice_servers: tuple[str, ...] = ()
    host_addresses: tuple[str, ...] = ()


def ice_server(text: str) -> RTCIceServer:
    """Raises `ValueError` for anything but stun: and turn: addresses."""
    scheme, _, rest = text.partition(":")
    parts = urlsplit(f"//{rest}")
    if scheme not in ("stun", "turn") or not parts.hostname:
        raise ValueError(f"an ICE server is stun:host:port or turn:user:pass@host, not {text!r}")
    url = f"{scheme}:{parts.hostname}:{parts.port or 3478}"
    return RTCIceServer(urls=url, username=parts.username, credential=parts.password)


@dataclass(frozen=True, slots=True)
class ViewerOffer:
    """An SDP offer, all candidates included, and what its sender is granted: its microphone is
    heard (if offered); `alpha`: the picture's matte lies below its colours."""

    sdp: str
    want_mic: bool = False
    alpha: bool = False


class Peer:
    """Made by `answer`. `mic` is the client's microphone, if it was wanted and offered;
    `video_codec` names the packets that it is sent: "vp8", "h264", or such "+alpha"."""

    def __init__(
        self, connection: RTCPeerConnection, on_keyframe: Callable[[str], None], *, alpha: bool
    ) -> None:
        self.answer_sdp = ""
        self.video_codec = ""
        self._alpha = alpha
        self.mic: MicBuffer | None = None
        self._connection = connection
        self._on_keyframe = on_keyframe
        self._audio = PacketTrack("audio", lambda: None)
        self._video = PacketTrack("video", self._ask_keyframe)
        self._connected = asyncio.Event()
        self._closed = asyncio.Event()
        self._give_up: asyncio.TimerHandle | None = None
        connection.on("connectionstatechange", self._state_changed)

    @classmethod
    async def answer(
        cls, offer: ViewerOffer, *, settings: RtcSettings, on_keyframe: Callable[[str], None]
    ) -> Peer:
        """Raises `BadOffer`; leaves nothing behind then."""
        servers = [ice_server(text) for text in settings.ice_servers]
        connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        peer = cls(connection, on_keyframe, alpha=offer.alpha)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await peer._negotiate(offer, settings)
        except BaseException as error:
            await peer.close()
            if isinstance(error, BAD_SDP):
                raise BadOffer(f"this SDP offer cannot be answered: {error}") from error
            raise
        return peer

    @property
    def connected(self) -> bool:
        return self._connected.is_set() and not self._closed.is_set()

    def send_audio(self, packet: MediaPacket) -> None:
        if self.connected:
            self._audio.send(packet)

    def send_video(self, packet: MediaPacket) -> None:
        if self.connected:
            self._video.send(packet)

    async def wait_connected(self) -> None:
        await self._connected.wait()

    async def wait_closed(self) -> None:
        """Until the connection failed, ended, or never came about."""
        await self._closed.wait()
        await self.close()

    async def close(self) -> None:
        self._closed.set()
        if self._give_up is not None:
            self._give_up.cancel()
        self._audio.stop()
        self._video.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._connection.close()

    async def _negotiate(self, offer: ViewerOffer, settings: RtcSettings) -> None:
        connection = self._connection
        await connection.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
        for transceiver in connection.getTransceivers():
            self._take(transceiver, want_mic=offer.want_mic)
        if not connection.getTransceivers():
            raise BadOffer("the offer asks for neither sound nor picture")
        answer = await connection.createAnswer()
        with host_addresses(settings.host_addresses):
            await connection.setLocalDescription(answer)
        self.answer_sdp = connection.localDescription.sdp
        self._give_up = asyncio.get_running_loop().call_later(CONNECT_TIMEOUT_S, self._abandon)

    def _take(self, transceiver: object, *, want_mic: bool) -> None:
        """Put our track, if the first of its kind, on an offered transceiver."""
        kind = transceiver.kind  # type: ignore[attr-defined]
        sender, receiver = transceiver.sender, transceiver.receiver  # type: ignore[attr-defined]
        offered = transceiver._offerDirection  # type: ignore[attr-defined]
        if kind == "audio":
            if prefer_codecs(transceiver, ("opus",)) is None:
                raise BadOffer("the offer has no Opus; sound is sent as Opus only")
            mic = want_mic and offered in ("sendrecv", "sendonly") and self.mic is None
            if mic:
                self.mic = MicBuffer(OpusDecoder().decode)
                divert_audio(receiver, self.mic)
            transceiver.direction = "sendrecv" if mic else "sendonly"  # type: ignore[attr-defined]
            sender.replaceTrack(self._audio)
        elif kind == "video" and not self.video_codec:
            codec = prefer_codecs(transceiver, ("vp8", "h264"))
            if codec is None:
                raise BadOffer("the offer has neither VP8 nor H.264")
            self.video_codec = codec + ALPHA if self._alpha else codec
            transceiver.direction = "sendonly"  # type: ignore[attr-defined]
            on_keyframe_request(sender, self._ask_keyframe)
            sender.replaceTrack(self._video)

    def _ask_keyframe(self) -> None:
        if self.video_codec:
            self._on_keyframe(self.video_codec)

    def _abandon(self) -> None:
        if not self._connected.is_set():
            self._closed.set()

    def _state_changed(self) -> None:
        state = self._connection.connectionState
        if state == "connected":
            self._connected.set()
            self._ask_keyframe()
        elif state in ("failed", "closed"):
            self._closed.set()


# What aiortc raises for SDP that is no SDP, or asks for what it cannot do.
BAD_SDP = (
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    AssertionError,
    InvalidStateError,
    TimeoutError,
)
