"""Which source drives the avatar: the microphone or nothing, overridden by what is queued."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

from avatar_server.sources.base import Source
from avatar_server.sources.playlist import Playlist
from sonic_stream.media import FloatArray

SPEAKING_RMS = 10 ** (-45 / 20)


class Microphone(Protocol):
    """The receive buffer of one peer's microphone."""

    def read(self, n_samples: int) -> FloatArray: ...

    def stats(self) -> dict[str, float]:
        """At least `level_ms` and `concealed`."""
        ...


class Voice:
    """The session's one voice. Text and files play over the microphone and then give it back."""

    def __init__(self) -> None:
        self.playlist = Playlist()
        self._base: Literal["mic", "idle"] = "idle"
        self._microphone: Microphone | None = None
        self._level = 0.0

    @property
    def kind(self) -> str:
        return self.playlist.kind if self.playlist.queue_length else self._base

    @property
    def speaking(self) -> bool:
        return self._level > SPEAKING_RMS

    def attach(self, microphone: Microphone | None) -> None:
        self._microphone = microphone

    def microphone_stats(self) -> dict[str, float]:
        return self._microphone.stats() if self._microphone else {}

    def select(self, base: Literal["mic", "idle"]) -> None:
        self._base = base

    def enqueue(self, source: Source) -> None:
        self.playlist.enqueue(source)

    async def stop(self) -> None:
        self._base = "idle"
        await self.playlist.clear()

    def read(self, count: int) -> FloatArray:
        """The next samples; the microphone is read even when unused, so that it holds no past."""
        heard = self._microphone.read(count) if self._microphone else None
        if self.playlist.queue_length:
            samples = self.playlist.read(count)
        elif self._base == "mic" and heard is not None:
            samples = heard
        else:
            samples = np.zeros(count, np.float32)
        rms = float(np.sqrt(np.mean(np.square(samples)))) if count else 0.0
        self._level = max(rms, self._level * 0.8)
        return samples
