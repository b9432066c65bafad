"""The other half of `child`: what every child program of a sink does with its pipes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Any, Protocol

from avatar_server.worker.wire import Decoder, WireMessage, encode

HEARTBEAT_SOUNDS = 50  # pieces of sound, once a second: the server hears that all is well


class ChildFailed(Exception):
    """Told to people. `final`: another try would end the same."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class Handler(Protocol):
    """All methods may raise `ChildFailed`."""

    def open(self, fields: dict[str, Any]) -> None:
        """The settings, once and first."""
        ...

    def take(self, messages: list[WireMessage]) -> None:
        """Sounds, pictures and captions, as many as were waiting."""
        ...

    def progress(self) -> dict[str, object]:
        """Figures for people; asked for once a second."""
        ...

    def finish(self) -> None:
        """Nothing more comes: the sink was closed, or the server died. Called once, also after
        a failure."""
        ...


def tell(kind: str, **fields: object) -> None:
    """To the server, if it is still there."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.buffer.write(encode(WireMessage(kind, fields)))
        sys.stdout.buffer.flush()


def serve(handler: Handler) -> None:
    """The child's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the server's affair
    try:
        _attend(handler)
        handler.finish()
        tell("done")
    except ChildFailed as error:
        tell("failed", message=str(error), final=error.final)
        with contextlib.suppress(ChildFailed):
            handler.finish()


def _attend(handler: Handler) -> None:
    decoder, sounds, opened = Decoder(), 0, False
    while data := os.read(sys.stdin.fileno(), 1 << 18):
        messages = list(decoder.feed(data))
        if messages and not opened:
            handler.open(messages.pop(0).fields)
            opened = True
        closing = next((i for i, m in enumerate(messages) if m.kind == "close"), len(messages))
        handler.take(messages[:closing])
        if closing < len(messages):
            return
        before, sounds = sounds, sounds + sum(m.kind == "sound" for m in messages)
        if sounds // HEARTBEAT_SOUNDS > before // HEARTBEAT_SOUNDS:
            tell("progress", **handler.progress())
