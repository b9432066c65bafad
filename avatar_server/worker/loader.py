"""The worker's second thread: what messages ask for is made beside the pictures, not between them.

To read an identity, to cut the person out and to open encoders takes longer than the margin that
pictures have, and no stream of the process is to wait for another's. Messages come out in the
order in which they went in, each with what it needs.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import sys
import threading
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from avatar_server.worker.encoders import VideoEncoder, open_encoder
from avatar_server.worker.stacking import ALPHA
from avatar_server.worker.wire import WireMessage
from sonic_stream.engine import Engine, StreamOptions, prefetch
from sonic_stream.media import IdentityLatents

log = logging.getLogger(__name__)

YIELDING = 5  # the loader's niceness: pictures come first


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a stream shows once the messages until now have taken effect."""

    path: Path
    identity: IdentityLatents
    options: StreamOptions
    bitrate_bps: int
    codecs: tuple[str, ...] = ()

    @property
    def drawn(self) -> StreamOptions:
        return with_alpha(self.options, self.codecs)


@dataclass(frozen=True, slots=True)
class Ready:
    """A message, what its stream shows from now on, and the encoders that it lacked. `kept`: what
    the engine needs to go on at once; `error`: why nothing of it can be."""

    message: WireMessage
    wanted: Wanted | None = None
    encoders: dict[str, VideoEncoder] = field(default_factory=dict)
    kept: object = None
    error: str = ""


class Loader:
    """`wake` can be read from when something is ready."""

    def __init__(self, engine: Engine) -> None:
        self.wake, self._bell = socket.socketpair()
        self.wake.setblocking(False)
        self._engine = engine
        self._streams: dict[int, Wanted] = {}
        self._todo: queue.SimpleQueue[WireMessage | None] = queue.SimpleQueue()
        self._done: deque[Ready] = deque()
        self._thread = threading.Thread(target=self._run, name="loader", daemon=True)
        self._thread.start()

    def put(self, message: WireMessage) -> None:
        self._todo.put(message)

    def take(self) -> list[Ready]:
        """What is ready; never waits."""
        try:
            count = len(self.wake.recv(1 << 12))
        except BlockingIOError:
            count = 0
        return [self._done.popleft() for _ in range(count)]

    def close(self) -> None:
        self._todo.put(None)
        self._thread.join()
        self.wake.close()
        self._bell.close()

    def _run(self) -> None:
        if sys.platform == "linux":  # where each thread has a priority of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), YIELDING)
        while (message := self._todo.get()) is not None:
            try:
                ready = self._prepared(message)
            except (ValueError, OSError) as error:
                ready = Ready(message, error=str(error))
            except Exception as error:  # of this stream alone
                log.exception("what %r asked for cannot be made", message.kind)
                ready = Ready(message, error=repr(error))
            self._done.append(ready)
            self._bell.send(b"\0")

    def _prepared(self, message: WireMessage) -> Ready:
        ident = int(message.fields["stream"])
        if message.kind == "close":
            self._streams.pop(ident, None)
            return Ready(message)
        before = self._streams.get(ident)
        wanted = self._after(message, before)
        if wanted is None:
            return Ready(message)  # of a stream that could not be opened
        kept = prefetch(self._engine, wanted.identity, wanted.drawn)
        spec, open_already = self._engine.spec, before.codecs if before else ()
        encoders = {
            codec: open_encoder(codec, spec.size_px, spec.fps, wanted.bitrate_bps)
            for codec in wanted.codecs
            if codec not in open_already
        }
        self._streams[ident] = wanted
        return Ready(message, wanted, encoders, kept)

    def _after(self, message: WireMessage, before: Wanted | None) -> Wanted | None:
        fields = message.fields
        if message.kind == "open":
            path = Path(fields["identity"])
            options, bitrate_bps = StreamOptions(**fields["options"]), int(fields["bitrate_bps"])
            codecs = tuple(fields["codecs"])
            return Wanted(path, self._identity(path), options, bitrate_bps, codecs)
        if before is None:
            return None
        changes: dict[str, Any] = {}
        match message.kind:
            case "identity":
                path = Path(fields["identity"])
                changes = {"path": path, "identity": self._identity(path)}
            case "options":
                changes = {"options": StreamOptions(**fields["options"])}
            case "codecs":
                changes = {"codecs": tuple(fields["codecs"])}
        return replace(before, **changes)

    def _identity(self, path: Path) -> IdentityLatents:
        """Read once for all the streams that show it. Files of identities never change."""
        shown = (wanted.identity for wanted in self._streams.values() if wanted.path == path)
        return next(shown, None) or IdentityLatents.load(path)


def with_alpha(options: StreamOptions, codecs: tuple[str, ...]) -> StreamOptions:
    """A stream draws alpha as long as somebody watches it."""
    return replace(options, alpha=any(codec.endswith(ALPHA) for codec in codecs))
