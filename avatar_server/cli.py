"""The command line: `avatar-server [--config FILE] [--host H] [--port P] …` serves, and
`avatar-server COMMAND …` does something else."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from avatar_server import __version__
from avatar_server.app import create_app
from avatar_server.commands import add_commands, run
from avatar_server.config import Config, load
from avatar_server.errors import AvatarError, ConfigError
from avatar_server.osc import Osc
from avatar_server.protocol import MAX_MESSAGE_BYTES
from avatar_server.server import Server

log = logging.getLogger("avatar_server")


def settle() -> None:
    """What is loaded by now stays: the garbage collector need not look at it any more. Else a full
    collection would stop every session for 40 ms."""
    gc.collect()
    gc.freeze()


class DrainingServer(uvicorn.Server):
    """Announces itself once it serves; on the first SIGTERM it drains, on the second it ends."""

    def __init__(
        self, config: uvicorn.Config, app: FastAPI, announcement: str, drain_s: float
    ) -> None:
        super().__init__(config)
        self._server: Server = app.state.server
        self._osc: Osc = app.state.osc
        self._announcement = announcement
        self._drain_s = drain_s
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await self._server.start()
            await self._osc.start()
        except BaseException:
            await self._osc.close()
            await self._server.close()
            raise
        await super().startup(sockets)
        if self.started:
            settle()
            log.info(self._announcement)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM and self.started and self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain_then_exit())
        else:
            super().handle_exit(sig, frame)

    async def _drain_then_exit(self) -> None:
        log.info("draining: no new sessions, the live ones may finish")
        await self._server.sessions.drain(self._drain_s)
        self.should_exit = True


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("avatar-server", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--config", type=Path, help="a TOML file (see configs/)")
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default 8080; 0: any)")
    parser.add_argument("--engine", help="auto, lite, sonic, testcard or package.module:Class")
    parser.add_argument("--size", type=int, help="picture size in pixels (default 512)")
    add_commands(parser)
    return parser


def configuration(options: argparse.Namespace) -> Config:
    """The file's configuration with the command line on top. Raises `ConfigError`."""
    config = load(options.config)
    overrides = {
        "server": {"host": options.host, "port": options.port},
        "engine": {"name": options.engine, "size_px": options.size},
    }
    given = {
        section: {key: value for key, value in values.items() if value is not None}
        for section, values in overrides.items()
    }
    merged = config.model_dump()
    for section, values in given.items():
        merged[section] |= values
    try:
        return Config.model_validate(merged)
    except ValueError as error:
        raise ConfigError(f"command line: {error}") from error


def serve(config: Config) -> None:
    """Listen and serve until told to stop. Raises `AvatarError` when it cannot start."""
    section = config.server
    family = socket.AF_INET6 if ":" in section.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((section.host, section.port))
    except OSError as error:
        raise AvatarError(
            f"cannot listen on {section.host}:{section.port} ({error.strerror}); "
            "is another server running? choose another --port"
        ) from error
    shown = "localhost" if section.host == "127.0.0.1" else section.host
    app = create_app(config)
    server = DrainingServer(
        uvicorn.Config(
            app,
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_max_queue=32,
            # A client whose reading is paused (`/ws/pcm`) cannot answer in time; both sockets
            # notice by messages of their own who is gone.
            ws_ping_timeout=None,
            timeout_graceful_shutdown=5,
            log_level="warning",
            server_header=False,
        ),
        app,
        f"open http://{shown}:{listener.getsockname()[1]}/ in a browser",
        section.drain_s,
    )
    log.info("avatar-server %s is starting", __version__)
    server.run(sockets=[listener])


def main() -> None:
    options = arguments().parse_args()
    if options.command:
        try:
            run(options)
        except AvatarError as error:
            sys.exit(f"avatar-server {options.command}: {error}")
        return
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        serve(configuration(options))
    except AvatarError as error:
        sys.exit(f"avatar-server: {error}")
