"""Where things are wired together: the ASGI application around one `Server`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, WebSocket

from avatar_server import __version__, http_api
from avatar_server.config import Config
from avatar_server.guard import Guard
from avatar_server.osc import Osc
from avatar_server.pcm_socket import PcmConnection
from avatar_server.server import Server
from avatar_server.signalling import Connection


def create_app(config: Config) -> FastAPI:
    """The application. Whoever serves it has started `state.server` and `state.osc` (see
    `cli`): what they lack is told in words before a port answers. Closed at shutdown."""
    server = Server(config)
    osc = Osc(server, config.osc)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await osc.close()
        await server.close()

    app = FastAPI(
        title="avatar-server", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.state.server, app.state.osc = server, osc
    http_api.install(app)
    app.add_middleware(Guard, settings=config.server, content_policy=http_api.CONTENT_POLICY)

    @app.websocket("/ws")
    async def websocket(socket: WebSocket) -> None:
        await Connection(socket, app.state.server).serve()

    @app.websocket("/ws/pcm")
    async def pcm(socket: WebSocket) -> None:
        await PcmConnection(socket, app.state.server).serve()

    return app
