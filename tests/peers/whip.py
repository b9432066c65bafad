"""Receivers made of aiortc: a WHIP server in the test's own event loop (HTTP by uvicorn), with
every trouble that a real one may make, and a WHEP player."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import av
import httpx
import uvicorn
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from fastapi import FastAPI, Request, Response

from avatar_server.rtc.aiortc_internals import RECEIVE_BUFFER, divert_audio, host_addresses
from avatar_server.rtc.opus import OpusDecoder
from tests.peers.media import Reception

LOOPBACK = ("127.0.0.1",)


class ArrivingSound:
    """Takes the place of aiortc's audio buffer: every packet when it comes."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._decoder = OpusDecoder()

    def push(self, timestamp: int, payload: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        self._reception.sound(self._decoder.decode(payload), now_s)


class ArrivingPictures:
    """Before aiortc's buffer: when each picture's last packet came. aiortc itself gives a
    picture out only when the next one's first packet is there, 40 ms later."""

    def __init__(self, receiver: RTCRtpReceiver) -> None:
        self._buffer = getattr(receiver, RECEIVE_BUFFER)
        self._arrivals_s: dict[int, float] = {}
        self._origin: int | None = None
        setattr(receiver, RECEIVE_BUFFER, self)

    def add(self, packet: Any) -> Any:
        self._arrivals_s[packet.timestamp] = asyncio.get_running_loop().time()
        wish, picture = self._buffer.add(packet)
        if picture is not None and self._origin is None:
            self._origin = picture.timestamp
        return wish, picture

    def arrival_s(self, frame: av.VideoFrame) -> float:
        """aiortc counts from the first picture that it gives out."""
        assert self._origin is not None
        return self._arrivals_s.pop((frame.pts + self._origin) % (1 << 32))


async def watch(track: MediaStreamTrack, reception: Reception, pictures: ArrivingPictures) -> None:
    """Every picture with the moment at which it had come, on the scale of the loop's clock."""
    with contextlib.suppress(MediaStreamError):
        while True:
            frame = await track.recv()
            reception.picture(frame.to_ndarray(format="rgb24"), pictures.arrival_s(frame))


async def drain(track: MediaStreamTrack) -> None:
    with contextlib.suppress(MediaStreamError):
        while True:
            await track.recv()


class Receiver:
    """A peer connection that receives, and what it received. Times are arrivals."""

    def __init__(self) -> None:
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.reception = Reception()
        self._tasks: list[asyncio.Task[None]] = []
        self.peer.on("track", self._take)

    def _take(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            divert_audio(self._receiver("audio"), ArrivingSound(self.reception))
            self._tasks.append(asyncio.create_task(drain(track)))
        else:
            pictures = ArrivingPictures(self._receiver("video"))
            self._tasks.append(asyncio.create_task(watch(track, self.reception, pictures)))

    def _receiver(self, kind: str) -> RTCRtpReceiver:
        return next(t.receiver for t in self.peer.getTransceivers() if t.kind == kind)

    async def answer(self, sdp: str, addresses: tuple[str, ...] = LOOPBACK) -> str:
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))
        with host_addresses(addresses):
            await self.peer.setLocalDescription(await self.peer.createAnswer())
        return str(self.peer.localDescription.sdp)

    @classmethod
    async def pull(cls, url: str) -> Receiver:
        """A WHEP player of `url` (…/api/sessions/ID/whep)."""
        receiver = cls()
        for kind in ("audio", "video"):
            receiver.peer.addTransceiver(kind, direction="recvonly")
        with host_addresses(LOOPBACK):
            await receiver.peer.setLocalDescription(await receiver.peer.createOffer())
        offer = str(receiver.peer.localDescription.sdp)
        async with httpx.AsyncClient() as http:
            headers = {"Content-Type": "application/sdp"}
            answer = (await http.post(url, content=offer, headers=headers)).raise_for_status()
        description = RTCSessionDescription(sdp=answer.text, type="answer")
        await receiver.peer.setRemoteDescription(description)
        return receiver

    async def ask_keyframe(self) -> None:
        """A picture loss indication, as a decoder sends it that lost its way."""
        receiver = self._receiver("video")
        (source,) = receiver._RTCRtpReceiver__remote_streams
        await receiver._send_rtcp_pli(source)

    async def until_pictures(self, count: int, timeout_s: float = 20.0) -> None:
        async with asyncio.timeout(timeout_s):
            while len(self.reception.pictures) < count:
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        await self.peer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@dataclass
class WhipServer:
    """`refusals`: statuses that the next requests are answered with. `redirect`: where a
    request to /old is sent. `retry_after`: told with a refusal. `links`: told with an answer.
    `receivers`: one for each publication."""

    url: str
    token: str = ""
    redirect: str = ""
    redirect_status: int = 307
    spoil: bool = False  # answer with what is no SDP
    retry_after: str = ""
    links: list[str] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    receivers: list[Receiver] = field(default_factory=list)
    offers: list[str] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)

    async def publish(self, request: Request) -> Response:
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            return Response(status_code=401)
        if self.refusals:
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return Response("not now", status_code=self.refusals.pop(0), headers=headers)
        offer = (await request.body()).decode()
        self.offers.append(offer)
        if self.spoil:
            return Response("hello", status_code=201, headers={"Location": "/whip/9"})
        receiver = Receiver()
        self.receivers.append(receiver)
        response = Response(
            await receiver.answer(offer),
            status_code=201,
            media_type="application/sdp",
            headers={"Location": f"/whip/{len(self.receivers) - 1}"},
        )
        for link in self.links:
            response.headers.append("Link", link)
        return response

    async def end(self, ident: int) -> Response:
        self.deleted.append(ident)
        if ident < len(self.receivers):
            await self.receivers[ident].close()
        return Response()

    async def old(self) -> Response:
        return Response(status_code=self.redirect_status, headers={"Location": self.redirect})

    async def until_published(self, count: int = 1, timeout_s: float = 20.0) -> Receiver:
        async with asyncio.timeout(timeout_s):
            while len(self.receivers) < count:
                await asyncio.sleep(0.05)
        return self.receivers[count - 1]


class QuietServer(uvicorn.Server):
    """The test's process keeps its own signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


@asynccontextmanager
async def whip_server() -> AsyncIterator[WhipServer]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = WhipServer(f"http://127.0.0.1:{listener.getsockname()[1]}/whip")
    app = FastAPI()
    app.add_api_route("/whip", server.publish, methods=["POST"])
    app.add_api_route("/old", server.old, methods=["POST"])
    app.add_api_route("/whip/{ident}", server.end, methods=["DELETE"])
    async with serving(app, listener):
        yield server
        await asyncio.gather(*(receiver.close() for receiver in server.receivers))


@asynccontextmanager
async def serving(app: FastAPI, listener: socket.socket) -> AsyncIterator[None]:
    http = QuietServer(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    task = asyncio.create_task(http.serve(sockets=[listener]))
    try:
        while not http.started:
            await asyncio.sleep(0.01)
        yield
    finally:
        http.should_exit = True
        await task
