"""A client that sends raw sound: `/ws/pcm` (documented in docs/protocol.md)."""

from __future__ import annotations

import asyncio
import secrets

from fastapi import WebSocket, WebSocketDisconnect

from avatar_server import protocol
from avatar_server.captions import ms_of
from avatar_server.errors import AvatarError, BadMessage
from avatar_server.outbox import Outbox
from avatar_server.server import Server
from avatar_server.session import Session
from avatar_server.sources.base import RATE_HZ
from avatar_server.sources.pcm import HIGH_WATER_S, PcmFormat, PcmSegment

START_TIMEOUT_S = 5.0
IDLE_S = 60.0  # a client that sends nothing for so long while nothing of its plays is gone
REPORT_SAMPLES = RATE_HZ // 5
TOKEN_PREFIX = "resume."  # of a sub-protocol that carries the token


class PcmConnection:
    """Its sound is queued like speech and files: segment by segment, each over the microphone."""

    def __init__(self, socket: WebSocket, server: Server) -> None:
        self._socket = socket
        self._server = server
        self._outbox = Outbox(socket)

    async def serve(self) -> None:
        offered = self._socket.scope.get("subprotocols", [])
        chosen = protocol.PCM_SUBPROTOCOL if protocol.PCM_SUBPROTOCOL in offered else None
        await self._socket.accept(subprotocol=chosen)
        try:
            speaker = await self._greet()
            if speaker is not None:
                await self._attend(speaker)
        except WebSocketDisconnect:
            pass
        finally:
            await self._outbox.close()

    async def _greet(self) -> _Speaker | None:
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                start = await self._receive()
            if not isinstance(start, protocol.PcmStart):
                raise BadMessage("the first message must be start")
            session = await self._enter(start)
        except TimeoutError:
            self._outbox.tell(protocol.encode_error(BadMessage("no start came within 5 s")))
            return None
        except AvatarError as error:
            self._server.metrics.refused.labels(error.code).inc()
            self._outbox.tell(protocol.encode_error(error))
            return None
        self._outbox.tell(
            protocol.encode(
                "ready",
                session=session.id,
                resume=session.options.token,
                latency_ms=session.latency_ms,
                high_water_ms=round(1000 * HIGH_WATER_S),
            )
        )
        form = PcmFormat(start.rate_hz, start.format, start.channels)
        return _Speaker(session, form, self._outbox)

    async def _enter(self, start: protocol.PcmStart) -> Session:
        ident = start.session or self._socket.query_params.get("session")
        offered = self._socket.scope.get("subprotocols", [])
        tokens = [t.removeprefix(TOKEN_PREFIX) for t in offered if t.startswith(TOKEN_PREFIX)]
        if ident is None:
            return await self._server.sessions.create()
        return self._server.sessions.resume(ident, start.resume or next(iter(tokens), None))

    async def _attend(self, speaker: _Speaker) -> None:
        ended = speaker.session.enter("pcm-" + secrets.token_urlsafe(6))
        tasks = {asyncio.create_task(self._read(speaker)), asyncio.create_task(ended.wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            speaker.leave()

    async def _read(self, speaker: _Speaker) -> None:
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    message = await self._receive()
                speaker.session.heard()
                await speaker.take(message)
            except TimeoutError:
                if not speaker.playing:
                    speaker.tell(protocol.encode_error(BadMessage(f"silent for {IDLE_S:.0f} s")))
                    return
            except AvatarError as error:
                speaker.tell(protocol.encode_error(error))
            except WebSocketDisconnect:
                return

    async def _receive(self) -> protocol.PcmMessage | bytes:
        """Sound or a message. Raises `BadMessage` or `WebSocketDisconnect`."""
        event = await self._socket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event.get("code", 1005))
        data: bytes | None = event.get("bytes")
        return data if data is not None else protocol.parse_pcm(event["text"])


class _Speaker:
    """The client's segments: the one that grows, and those not heard to their end yet."""

    def __init__(self, session: Session, form: PcmFormat, outbox: Outbox) -> None:
        self.session = session
        self.tell = outbox.tell
        self._form = form
        self._count = 0
        self._growing: PcmSegment | None = None
        self._unheard: list[PcmSegment] = []
        self._reported_pts = 0

    @property
    def playing(self) -> bool:
        return bool(self._unheard)

    async def take(self, message: protocol.PcmMessage | bytes) -> None:
        match message:
            case bytes():
                await self._segment().push(message)
            case protocol.PcmEnd():
                segment, self._growing = self._segment(), None
                segment.end()
                self._settle()
            case protocol.Interrupt():
                self.session.interrupt()
            case protocol.Ping():
                self.tell(protocol.encode("pong", t=message.t))
            case protocol.PcmStart():
                raise BadMessage("start was already said")

    def leave(self) -> None:
        """The client is gone: what it has sent is still played."""
        if self._growing is not None:
            self._growing.end()

    def _segment(self) -> PcmSegment:
        """The growing one, or a new one. Raises `QueueFull`."""
        if self._growing is None:
            segment = PcmSegment(self._form, self._count, self._changed)
            self.session.voice.enqueue(segment)
            self._count += 1
            self._growing = segment
            self._unheard.append(segment)
        return self._growing

    def _changed(self, segment: PcmSegment, pts: int) -> None:
        self.session.heard()
        if segment.interrupted:
            self._report("interrupted", segment, pts)
        elif pts - self._reported_pts >= REPORT_SAMPLES:
            self._reported_pts = pts
            self._report("position", segment, pts)
        self._settle(pts)

    def _settle(self, pts: int | None = None) -> None:
        """Answer the `end` of each segment that nothing more will be heard of."""
        for segment in list(self._unheard):
            if segment.ended and segment.over:
                self._unheard.remove(segment)
                self._report("played", segment, pts)

    def _report(self, kind: str, segment: PcmSegment, pts: int | None) -> None:
        self.tell(
            protocol.encode(
                kind,
                segment=segment.number,
                played_ms=ms_of(segment.heard_samples),
                buffered_ms=round(1000 * segment.buffered_s),
                media_ms=None if pts is None else ms_of(pts),
                complete=segment.over and not segment.interrupted,
            )
        )
