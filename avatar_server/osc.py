"""Control by OSC over UDP: `/avatar/say "Hello"`, `/avatar/interrupt`, `/avatar/offset 40` …

The general rule: `/avatar/TYPE` with a command's fields in the order of docs/protocol.md, and
`/avatar/set/NAME value` for one setting. Short names for what hands reach for are in `SHORT`. What
cannot be done is answered with `/avatar/error` to the port that the message came from.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from importlib.util import find_spec

from avatar_server import protocol
from avatar_server.config import OscSection
from avatar_server.control import carry_out
from avatar_server.errors import AvatarError, BadMessage, ConfigError
from avatar_server.server import Server

log = logging.getLogger(__name__)

Address = tuple[str, int]
PREFIX = "avatar"
RECORDING = "recording"
QUEUED = 100  # more waiting messages than this: newcomers are dropped
SHORT: dict[str, tuple[str, ...]] = {
    "idle": ("source", "idle"),
    "mic": ("source", "mic"),
    "offset": ("set", "lip_sync_offset_ms"),
    "expression": ("set", "expression"),
    "mute": ("set", "mic_muted"),
    "volume": ("set", "volume"),
}


def command_of(address: str, values: Sequence[object]) -> protocol.Command:
    """The command that an OSC message means. Raises `BadMessage`."""
    prefix, *words = address.strip("/").split("/")
    if prefix != PREFIX or not words:
        raise BadMessage(f"{address} is not /avatar/…")
    kind, *given = (*SHORT.get(words[0], (words[0],)), *words[1:])
    arguments = [*given, *values]
    if kind == "set":
        return protocol.command("set", _setting(arguments))
    if kind == "record":
        return _record(arguments)
    names = protocol.command_fields(kind, arguments[0] if arguments else None)
    if len(arguments) > len(names):
        raise BadMessage(f"{address} takes at most {len(names)} values")
    return protocol.command(kind, dict(zip(names, arguments, strict=False)))


def _record(arguments: Sequence[object]) -> protocol.Command:
    """`/avatar/record 1` begins the one recording that OSC has, `/avatar/record 0` ends it."""
    if len(arguments) != 1:
        raise BadMessage("/avatar/record takes 1 or 0")
    if arguments[0]:
        return protocol.command("sink_open", {"kind": "recording", "id": RECORDING})
    return protocol.command("sink_close", {"id": RECORDING})


def _setting(arguments: Sequence[object]) -> dict[str, object]:
    if len(arguments) != 2:
        raise BadMessage("a setting is given as /avatar/set/NAME and one value")
    name, value = arguments
    # Faders send fractions, buttons 1 and 0.
    whole = str(name).endswith("_ms") and isinstance(value, float)
    return {str(name): round(value) if whole and isinstance(value, float) else value}


class Osc:
    """Listens once started, if the configuration gives it a port."""

    def __init__(self, server: Server, section: OscSection) -> None:
        self._server = server
        self._section = section
        self._queue: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue(QUEUED)
        self._transport: asyncio.DatagramTransport | None = None
        self._worker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises `ConfigError`."""
        if not self._section.port:
            return
        if find_spec("pythonosc") is None:
            raise ConfigError("osc.port is set: pip install 'avatar-server[osc]'")
        address = (self._section.host, self._section.port)
        try:
            self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Inbox(self._queue), local_addr=address
            )
        except OSError as error:
            raise ConfigError(f"OSC cannot listen on {address}: {error.strerror}") from error
        self._worker = asyncio.create_task(self._work())
        log.info("OSC on udp://%s:%d", *address)

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            data, sender = await self._queue.get()
            try:
                await self._act(data)
            except AvatarError as error:
                self._complain(str(error), sender)

    async def _act(self, data: bytes) -> None:
        from pythonosc.osc_packet import OscPacket, ParseError

        try:
            messages = OscPacket(data).messages
        except ParseError as error:
            raise BadMessage(f"this is no OSC: {error}") from error
        for timed in messages:
            command = command_of(timed.message.address, timed.message.params)
            sessions = self._server.sessions
            name = self._section.session
            session = sessions.get(name) if name else sessions.newest()
            await carry_out(self._server, session, command)

    def _complain(self, problem: str, sender: Address) -> None:
        from pythonosc.osc_message_builder import OscMessageBuilder

        log.warning("OSC: %s", problem)
        answer = OscMessageBuilder("/avatar/error")
        answer.add_arg(problem[:500])
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(answer.build().dgram, sender)


class _Inbox(asyncio.DatagramProtocol):
    def __init__(self, queue: asyncio.Queue[tuple[bytes, Address]]) -> None:
        self._queue = queue

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if not self._queue.full():
            self._queue.put_nowait((data, (addr[0], addr[1])))
