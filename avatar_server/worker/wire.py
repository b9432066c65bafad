"""The wire between server and worker: length-framed messages, JSON head and binary body.

    u32 length of what follows | u32 length of the head | head (JSON, UTF-8) | body

No pickle: a head is plain data, a body is PCM or an encoded packet. Framing is pure; the
same functions serve the server's event loop and the worker's blocking loop.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
_LENGTHS = struct.Struct("<II")


class WireError(Exception):
    """The other side does not speak this wire; the connection is of no use any more."""


@dataclass(frozen=True, slots=True)
class WireMessage:
    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""


def encode(message: WireMessage) -> bytes:
    head = json.dumps({"kind": message.kind, **message.fields}).encode()
    size = 4 + len(head) + len(message.body)
    if size > MAX_MESSAGE_BYTES:
        raise WireError(f"a message of {size} bytes exceeds {MAX_MESSAGE_BYTES}")
    return _LENGTHS.pack(size, len(head)) + head + message.body


class Decoder:
    """Bytes in any pieces in, whole messages out. Raises `WireError`."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[WireMessage]:
        self._pending += data
        while len(self._pending) >= _LENGTHS.size:
            size, head_size = _LENGTHS.unpack_from(self._pending)
            if size > MAX_MESSAGE_BYTES or head_size > size - 4:
                raise WireError(f"impossible lengths {size}, {head_size}")
            if len(self._pending) < 4 + size:
                return
            head_end = _LENGTHS.size + head_size
            head = bytes(self._pending[_LENGTHS.size : head_end])
            body = bytes(self._pending[head_end : 4 + size])
            del self._pending[: 4 + size]
            yield _message(head, body)


def _message(head: bytes, body: bytes) -> WireMessage:
    try:
        fields = json.loads(head)
        kind = fields.pop("kind")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise WireError(f"no valid head: {head[:80]!r}") from error
    return WireMessage(kind, fields, body)
