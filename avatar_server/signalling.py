"""One client's WebSocket: hello, then messages both ways until either side ends it."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

from fastapi import WebSocket, WebSocketDisconnect

from avatar_server import protocol
from avatar_server.control import carry_out
from avatar_server.errors import AvatarError, BadMessage, NotAllowed
from avatar_server.outbox import Outbox
from avatar_server.rtc.peer import ViewerOffer
from avatar_server.server import Server
from avatar_server.session import Session
from avatar_server.sessions import SessionPlan

HELLO_TIMEOUT_S = 5.0
STUDIO = "studio"  # the one viewer whose microphone may drive the avatar


@dataclass(frozen=True, slots=True)
class Client:
    session: Session
    viewer: str

    @property
    def is_studio(self) -> bool:
        return self.viewer == STUDIO


class Connection:
    """Reads, acts and answers."""

    def __init__(self, socket: WebSocket, server: Server) -> None:
        self._socket = socket
        self._server = server
        self._outbox = Outbox(socket)

    async def serve(self) -> None:
        await self._socket.accept(subprotocol=protocol.SUBPROTOCOL)
        try:
            client = await self._greet()
            if client is not None:
                await self._attend(client)
        except WebSocketDisconnect:
            pass
        finally:
            await self._outbox.close()

    async def _greet(self) -> Client | None:
        try:
            async with asyncio.timeout(HELLO_TIMEOUT_S):
                hello = protocol.parse(await self._socket.receive_text())
            if not isinstance(hello, protocol.Hello):
                raise BadMessage("the first message must be hello")
            client = await self._enter(hello)
        except TimeoutError:
            self._tell(protocol.encode_error(BadMessage("no hello came within 5 s")))
            return None
        except AvatarError as error:
            self._server.metrics.refused.labels(error.code).inc()
            self._tell(protocol.encode_error(error))
            return None
        self._tell(protocol.encode("welcome", **self._server.welcome(client.session)
                                   | ({"resume": client.session.options.token}
                                      if client.is_studio else {})))  # fmt: skip
        return client

    async def _enter(self, hello: protocol.Hello) -> Client:
        sessions = self._server.sessions
        if hello.role == "viewer":
            if hello.session is None:
                raise BadMessage("a viewer's hello names a session")
            return Client(sessions.get(hello.session), "ws-" + secrets.token_urlsafe(6))
        if hello.session is None:
            return Client(await sessions.create(SessionPlan(calibrate=hello.calibrate)), STUDIO)
        return Client(sessions.resume(hello.session, hello.resume), STUDIO)

    async def _attend(self, client: Client) -> None:
        session = client.session
        takeover = session.enter(client.viewer)
        session.listeners.add(self._tell)
        self._tell(protocol.encode("state", **session.state()))
        reader = asyncio.create_task(self._read(client))
        evicted = asyncio.create_task(takeover.wait())
        try:
            await asyncio.wait({reader, evicted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            session.listeners.discard(self._tell)
            for task in (reader, evicted):
                task.cancel()
            await asyncio.gather(reader, evicted, return_exceptions=True)
            if not takeover.is_set():
                await session.viewers.leave(client.viewer)

    async def _read(self, client: Client) -> None:
        patience_s = self._server.config.limits.heartbeat_s
        while True:
            try:
                async with asyncio.timeout(patience_s):
                    text = await self._socket.receive_text()
            except (TimeoutError, WebSocketDisconnect):
                return
            if client.is_studio:
                client.session.heard()
            try:
                await self._act(client, protocol.parse(text))
            except AvatarError as error:
                self._tell(protocol.encode_error(error))

    async def _act(self, client: Client, message: protocol.ClientMessage) -> None:
        match message:
            case protocol.Ping():
                self._tell(protocol.encode("pong", t=message.t))
            case protocol.Offer():
                offer = ViewerOffer(message.sdp, want_mic=client.is_studio, alpha=message.alpha)
                answer = await client.session.connect(client.viewer, offer)
                self._tell(protocol.encode("answer", sdp=answer))
            case protocol.Hello():
                raise BadMessage("hello was already said")
            case _:
                if not client.is_studio:
                    raise NotAllowed("only the studio may do that; viewers watch")
                await carry_out(self._server, client.session, message)

    def _tell(self, text: str) -> None:
        self._outbox.tell(text)
