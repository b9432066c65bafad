"""A bad network in user space: a UDP relay with loss, delay, jitter and reordering, seeded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

Address = tuple[str, int]


@dataclass(frozen=True)
class Weather:
    """`jitter_ms`: each datagram is late by up to this, so that they overtake one another."""

    loss: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0


class _Side(asyncio.DatagramProtocol):
    """One socket of the relay; what comes in here leaves by the other one, to whoever called
    there first."""

    def __init__(self, weather: Weather, rng: random.Random) -> None:
        self.weather, self.rng = weather, rng
        self.peer: Address | None = None
        self.other: _Side | None = None
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if self.peer is None:
            self.peer = addr
        # Loss begins after the handshake: media is what is tested (first byte from 128 on).
        if data[:1] >= b"\x80" and self.rng.random() < self.weather.loss:
            return
        late_s = (self.weather.delay_ms + self.rng.uniform(0, self.weather.jitter_ms)) / 1000
        asyncio.get_running_loop().call_later(late_s, self._forward, data)

    def _forward(self, data: bytes) -> None:
        other = self.other
        if other and other.transport and other.peer and not other.transport.is_closing():
            other.transport.sendto(data, other.peer)


@asynccontextmanager
async def relay(weather: Weather, seed: int = 1) -> AsyncIterator[tuple[Address, Address]]:
    """Two addresses, one for each party to talk to."""
    loop, rng = asyncio.get_running_loop(), random.Random(seed)
    sides = _Side(weather, rng), _Side(weather, rng)
    sides[0].other, sides[1].other = sides[1], sides[0]
    transports = [
        (await loop.create_datagram_endpoint(lambda s=side: s, local_addr=("127.0.0.1", 0)))[0]
        for side in sides
    ]
    try:
        near, far = (transport.get_extra_info("sockname") for transport in transports)
        yield near, far
    finally:
        for transport in transports:
            transport.close()
