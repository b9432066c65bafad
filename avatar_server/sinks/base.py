"""What a sink is, and the sinks of one session: each is fed the same sound and pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import numpy as np
import numpy.typing as npt

from avatar_server.captions import Captions
from avatar_server.clock import Clock, MonotonicClock
from avatar_server.errors import AvatarError
from avatar_server.rtc.opus import OpusEncoder
from avatar_server.sinks.offset import OffsetSink
from sonic_stream.media import MediaPacket

MAX_SINKS = 16
# What all clients of a session may know of a sink; the rest is figures.
PUBLIC = ("id", "kind", "state", "reason", "target", "offset_ms")


class SinkError(AvatarError):
    """A sink cannot be opened, or there is none of that name."""

    code = "bad_sink"
    status = 422


@dataclass(frozen=True, slots=True)
class Sound:
    """20 ms of what is heard now: `samples` int16 [960] mono at 48 kHz, `pts` in samples since
    the session's start, and the same as Opus, encoded once for all who want it."""

    samples: npt.NDArray[np.int16]
    pts: int
    opus: tuple[MediaPacket, ...] = ()


@dataclass(frozen=True, slots=True)
class Feed:
    """What a session lets its sinks know, and ask for."""

    fps: Fraction
    size_px: int
    latency_samples: int  # at 48 kHz, from a picture's media time to its sound's
    clock: Clock
    request_keyframe: Callable[[str], None]  # of a video codec
    refresh: Callable[[], None]  # other codecs are wanted now
    tell: Callable[[str, str], None]  # a notice's code and message
    captions: Captions = field(default_factory=Captions)


class Sink(Protocol):
    """Fed on the event loop, every 20 ms; never blocks and never raises. What it cannot take in
    time it drops by its own, bounded policy. Sound and picture of one instant come in the same
    tick: a picture's media time plus the session's latency is the sound's."""

    kind: str

    @property
    def codecs(self) -> frozenset[str]:
        """The video codecs wanted now; nothing is encoded for nobody."""
        ...

    @property
    def wants_opus(self) -> bool: ...

    def send_sound(self, sound: Sound) -> None: ...

    def send_picture(self, packet: MediaPacket) -> None:
        """A packet of any codec: what is not among `codecs` is to be ignored."""
        ...

    def status(self) -> Mapping[str, object]:
        """What a person wants to know of it: flat, JSON. `state`: "starting", "live",
        "retrying" or "failed", with a `reason`; `target`: where it goes, without secrets."""
        ...

    async def close(self) -> None:
        """Finish what was begun and wait for it, bounded in time. Harmless when repeated."""
        ...


class Sinks:
    """Each with an offset of its own. `on_codecs` learns which video codecs are wanted by
    anybody."""

    def __init__(
        self, on_codecs: Callable[[frozenset[str]], None], clock: Clock | None = None
    ) -> None:
        self._on_codecs = on_codecs
        self._clock = clock or MonotonicClock()
        self._sinks: dict[str, OffsetSink] = {}
        self._opus: OpusEncoder | None = None

    @property
    def taken(self) -> bool:
        """Whether any sink that was opened still takes what it is sent, or tries to."""
        return any(entry["state"] not in ("failed", "closed") for entry in self.summary())

    def add(self, ident: str, sink: Sink) -> None:
        """Raises `SinkError` when the name is taken or there are too many."""
        self._check(ident)
        self._sinks[ident] = OffsetSink(sink, self._clock)
        self.refresh()

    async def open(self, ident: str, make: Callable[[], Sink]) -> None:
        """Add what `make` makes, in the place of one that failed if it has the same name.

        Raises `SinkError` as `add` does, and whatever `make` raises."""
        former = self._sinks.get(ident)
        if former is not None and former.status().get("state") == "failed":
            await self.remove(ident)
        self._check(ident)
        self.add(ident, make())

    def _check(self, ident: str) -> None:
        if ident in self._sinks:
            raise SinkError(f"there is a sink {ident!r} already; close it first")
        if len(self._sinks) >= MAX_SINKS:
            raise SinkError(f"a session has at most {MAX_SINKS} sinks")

    def get(self, ident: str) -> OffsetSink:
        """Raises `SinkError` when there is none of that name."""
        if ident not in self._sinks:
            raise SinkError(f"there is no sink {ident!r}", "no_sink")
        return self._sinks[ident]

    async def remove(self, ident: str) -> None:
        """Raises `SinkError` when there is none of that name."""
        sink = self.get(ident)
        del self._sinks[ident]
        self.refresh()
        await sink.close()

    def refresh(self) -> None:
        """To be called when a sink's `codecs` may have changed."""
        wanted = (sink.codecs for sink in self._sinks.values())
        self._on_codecs(frozenset[str]().union(*wanted))

    def send_sound(self, samples: npt.NDArray[np.int16], pts: int) -> None:
        sinks = list(self._sinks.values())
        packets: tuple[MediaPacket, ...] = ()
        if any(sink.wants_opus for sink in sinks):
            self._opus = self._opus or OpusEncoder()
            packets = tuple(self._opus.encode(samples, pts))
        for sink in sinks:
            sink.send_sound(Sound(samples, pts, packets))

    def send_picture(self, packet: MediaPacket) -> None:
        for sink in list(self._sinks.values()):
            sink.send_picture(packet)

    def silence(self) -> None:
        """Barge-in: what sinks with a later sound did not hear yet, they never hear."""
        for sink in self._sinks.values():
            sink.silence()

    def status(self) -> list[dict[str, object]]:
        return [
            {"id": ident, "kind": sink.kind, **sink.status()} for ident, sink in self._sinks.items()
        ]

    def summary(self) -> list[dict[str, object]]:
        """Of each sink that was opened, what changes seldom."""
        return [
            {key: entry.get(key, "") for key in PUBLIC}
            for entry in self.status()
            if entry["kind"] != "webrtc"
        ]

    async def close(self) -> None:
        sinks = list(self._sinks.values())
        self._sinks.clear()
        self._opus = None  # its native threads end here, not when a garbage collection comes
        await asyncio.gather(*(sink.close() for sink in sinks))
