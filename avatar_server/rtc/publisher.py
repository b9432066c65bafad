"""A peer connection that we offer: sound and picture to a server that takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)

from avatar_server.errors import AvatarError
from avatar_server.rtc.aiortc_internals import add_relay, host_addresses, on_keyframe_request
from avatar_server.rtc.peer import (
    ANSWER_TIMEOUT_S,
    BAD_SDP,
    CONNECT_TIMEOUT_S,
    Peer,
    RtcSettings,
    ice_server,
)
from avatar_server.rtc.relays import Relay


class BadAnswer(AvatarError):
    code = "bad_answer"
    status = 502


class Publisher(Peer):
    """Made by `offer`; `accept` takes the answer. Then it is a peer like others."""

    def __init__(self, connection: RTCPeerConnection, on_keyframe: Callable[[str], None]) -> None:
        super().__init__(connection, on_keyframe, alpha=False)
        self.offer_sdp = ""
        self.relayed = False  # whether there is a way through one of the relays
        self._transceivers: dict[str, RTCRtpTransceiver] = {}

    @classmethod
    async def offer(
        cls, *, settings: RtcSettings, codecs: Sequence[str], on_keyframe: Callable[[str], None]
    ) -> Publisher:
        """Offer Opus and any of `codecs`, the first one preferred, with all candidates that
        there are before the other side is asked."""
        servers = [ice_server(text) for text in settings.ice_servers]
        connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        publisher = cls(connection, on_keyframe)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await publisher._make_offer(settings, codecs)
        except BaseException:
            await publisher.close()
            raise
        return publisher

    async def accept(self, sdp: str, relays: Sequence[Relay] = ()) -> None:
        """Raises `BadAnswer`. `relays`: ways to the other side that it told of."""
        servers = [RTCIceServer(r.uri, r.username, r.credential) for r in relays]
        try:
            answer = RTCSessionDescription(sdp=sdp, type="answer")
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                if servers:  # all is bundled with the first
                    self.relayed = await add_relay(self._transceivers["audio"], servers)
                await self._connection.setRemoteDescription(answer)
        except BAD_SDP as error:
            raise BadAnswer(f"the answer cannot be understood: {error}") from error
        for kind, transceiver in self._transceivers.items():
            if transceiver.currentDirection not in ("sendonly", "sendrecv"):
                raise BadAnswer(f"the other side does not take the {kind}")
        codec = self._transceivers["video"]._codecs[0]
        self.video_codec = codec.mimeType.lower().partition("/")[2]
        loop = asyncio.get_running_loop()
        self._give_up = loop.call_later(CONNECT_TIMEOUT_S, self._abandon)

    async def _make_offer(self, settings: RtcSettings, codecs: Sequence[str]) -> None:
        connection = self._connection
        wanted = {"audio": ["opus"], "video": list(codecs)}
        for kind, track in (("audio", self._audio), ("video", self._video)):
            transceiver = connection.addTransceiver(track, direction="sendonly")
            offered = RTCRtpSender.getCapabilities(kind).codecs
            transceiver.setCodecPreferences(
                [
                    codec
                    for name in [*wanted[kind], "rtx"]
                    for codec in offered
                    if codec.mimeType.lower() == f"{kind}/{name}"
                ]
            )
            self._transceivers[kind] = transceiver
        on_keyframe_request(self._transceivers["video"].sender, self._ask_keyframe)
        offer = await connection.createOffer()
        with host_addresses(settings.host_addresses):
            await connection.setLocalDescription(offer)
        self.offer_sdp = connection.localDescription.sdp
        if not settings.ice_servers:  # relays that the other side tells of may come
            self.offer_sdp = self.offer_sdp.replace("a=end-of-candidates\r\n", "")

    async def wait_connected_or_closed(self) -> bool:
        """Whether it is connected; it waits no longer than `CONNECT_TIMEOUT_S` after `accept`."""
        waits = [asyncio.ensure_future(e.wait()) for e in (self._connected, self._closed)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return self.connected
