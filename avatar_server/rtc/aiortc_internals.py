"""Every place where we reach into aiortc and aioice, with the reason. Checked by a test.

* The receive buffer of audio (16 packets, gaps of 300 ms after one lost packet) is replaced.
* Key frame requests reach the worker that encodes, not aiortc's idle encoder.
* Host candidates can be restricted; stock aioice always leaves out loopback.
* Datagrams that are empty, or that are no STUN and come from an address that passed no ICE
  check, are dropped; stock aiortc ends the connection on an empty one.
* A browser's hidden candidate (mDNS) is resolved in a moment or not at all; stock aioice holds
  up every answer for a second where nobody answers. Without it the browser's own checks still
  reach our candidates.
* A relay that is learnt of after the offer was made gets a candidate all the same; stock aiortc
  gathers once.
* A peer that answers no check for five seconds is gone; stock aioice waits for half a minute,
  and its place stays taken. One that was closed while it came about is asked no more.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import aioice.ice
import aioice.mdns
from aiortc import RTCIceServer, RTCRtpReceiver, RTCRtpSender, RTCRtpTransceiver
from aiortc.rtcicetransport import connection_kwargs

MDNS_TIMEOUT_S = 0.1
# A check takes half a second to fail. Five in a row: a connection that loses every tenth packet
# both ways is cut off once in several hours of it, and comes back by itself.
CONSENT_INTERVAL_S, CONSENT_FAILURES = 0.5, 5
RECEIVE_BUFFER = "_RTCRtpReceiver__jitter_buffer"

_addresses: ContextVar[tuple[str, ...]] = ContextVar("host_addresses", default=())


class PacketSink(Protocol):
    def push(self, timestamp: int, payload: bytes) -> None: ...


class _Tee:
    """Stands where aiortc keeps its jitter buffer; nothing ever comes out of it."""

    def __init__(self, sink: PacketSink) -> None:
        self._sink = sink

    def add(self, packet: Any) -> tuple[bool, None]:
        self._sink.push(packet.timestamp, packet._data)
        return False, None


def divert_audio(receiver: RTCRtpReceiver, sink: PacketSink) -> None:
    """Send a receiver's packets to `sink` instead of aiortc's buffer and decoder."""
    if not hasattr(receiver, RECEIVE_BUFFER):
        raise RuntimeError(f"aiortc changed: RTCRtpReceiver has no {RECEIVE_BUFFER}")
    setattr(receiver, RECEIVE_BUFFER, _Tee(sink))


def on_keyframe_request(sender: RTCRtpSender, callback: Callable[[], None]) -> None:
    """Call `callback` on PLI and FIR."""
    if not hasattr(sender, "_send_keyframe"):
        raise RuntimeError("aiortc changed: RTCRtpSender has no _send_keyframe")
    sender._send_keyframe = callback


def prefer_codecs(transceiver: RTCRtpTransceiver, names: tuple[str, ...]) -> str | None:
    """Keep the first of `names` that the offer has (with its RTX); its name, or None."""
    codecs = transceiver._codecs
    for name in names:
        chosen = next((c for c in codecs if c.mimeType.lower().endswith(f"/{name}")), None)
        if chosen is not None:
            rtx = [c for c in codecs if c.parameters.get("apt") == chosen.payloadType]
            transceiver._codecs = [chosen, *rtx]
            return name
    return None


async def add_relay(transceiver: RTCRtpTransceiver, servers: list[RTCIceServer]) -> bool:
    """Whether one of them relays now. To be called between offer and answer: the other side does
    not know the relay's address, and learns it from the checks that come from there."""
    connection = transceiver.receiver.transport.transport.iceGatherer._connection
    before = len(connection.local_candidates)
    for name, value in connection_kwargs(servers).items():
        if name.startswith("turn_"):
            setattr(connection, name, value)
    for component in connection._components:
        connection._local_candidates += await connection.get_component_candidates(component, [])
    return len(connection.local_candidates) > before


@contextmanager
def host_addresses(addresses: tuple[str, ...]) -> Iterator[None]:
    """Within this context ICE gathers these local addresses only; empty: all but loopback."""
    token = _addresses.set(addresses)
    try:
        yield
    finally:
        _addresses.reset(token)


def _patch_host_addresses() -> None:
    stock = aioice.ice.get_host_addresses

    @functools.wraps(stock)
    def restricted(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return list(_addresses.get()) or stock(use_ipv4=use_ipv4, use_ipv6=use_ipv6)

    aioice.ice.get_host_addresses = restricted


def _patch_datagrams() -> None:
    stock = aioice.ice.StunProtocol.datagram_received

    @functools.wraps(stock)
    def guarded(self: Any, data: bytes, addr: tuple[Any, ...]) -> None:
        # STUN (RFC 7983: first byte 0..3) authenticates itself; media must come from a
        # pair that was checked.
        if data and (data[0] < 4 or _passed_check(self.receiver, (addr[0], addr[1]))):
            stock(self, data, addr)

    aioice.ice.StunProtocol.datagram_received = guarded


def _patch_mdns() -> None:
    stock = aioice.mdns.MDnsProtocol.resolve

    @functools.wraps(stock)
    async def impatient(self: Any, hostname: str, timeout: float | None = None) -> str | None:
        resolved: str | None = await stock(self, hostname, timeout=MDNS_TIMEOUT_S)
        return resolved

    aioice.mdns.MDnsProtocol.resolve = impatient


def _patch_consent() -> None:
    if not hasattr(aioice.ice, "CONSENT_INTERVAL") or not hasattr(aioice.ice, "CONSENT_FAILURES"):
        raise RuntimeError("aioice changed: it has no CONSENT_INTERVAL and CONSENT_FAILURES")
    aioice.ice.CONSENT_INTERVAL = CONSENT_INTERVAL_S
    aioice.ice.CONSENT_FAILURES = CONSENT_FAILURES
    stock = aioice.ice.Connection.query_consent

    @functools.wraps(stock)
    async def of_the_living(self: Any) -> None:
        if not self._closing:
            await stock(self)

    aioice.ice.Connection.query_consent = of_the_living


def _passed_check(connection: aioice.ice.Connection, addr: tuple[str, int]) -> bool:
    nominated = connection._nominated.values()
    if any(pair.remote_addr == addr for pair in nominated):
        return True
    succeeded = aioice.ice.CandidatePair.State.SUCCEEDED
    return any(p.remote_addr == addr and p.state == succeeded for p in connection._check_list)


_patch_host_addresses()
_patch_datagrams()
_patch_mdns()
_patch_consent()
