"""A bad network in user space: a UDP relay with loss, delay, jitter and reordering, seeded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

Address = tuple[str, int]


@dataclass(frozen=True)
class Weather:
    """`jitter_ms`: each datagram is late by up to this, so that they overtake one another."""

    loss: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0


class _Side(asyncio.DatagramProtocol):
    """One socket of the relay; what comes in here leaves by the other one."""

    def __init__(self, weather: Weather, rng: random.Random, peer: Address | None) -> None:
        self.weather, self.rng, self.peer = weather, rng, peer
        self.other: _Side | None = None
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self.transport = transport

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
async def relay(to: Address, weather: Weather, seed: int = 1) -> AsyncIterator[Address]:
    """The address at which a relay to `to` listens."""
    loop, rng = asyncio.get_running_loop(), random.Random(seed)
    near, far = _Side(weather, rng, None), _Side(weather, rng, to)
    near.other, far.other = far, near
    for side in (near, far):
        await loop.create_datagram_endpoint(lambda side=side: side, local_addr=("127.0.0.1", 0))
    assert near.transport
    assert far.transport
    try:
        yield near.transport.get_extra_info("sockname")
    finally:
        near.transport.close()
        far.transport.close()
