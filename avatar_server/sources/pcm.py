"""Raw sound that a client sends: its format, and one segment of it as a source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from avatar_server.errors import AvatarError
from avatar_server.sources.base import RATE_HZ, Played, SampleQueue, Source
from avatar_server.sources.resample import ToSession
from sonic_stream.media import FloatArray

HIGH_WATER_S = 10.0  # past this much unplayed sound the client is not read any more
MIN_RATE_HZ, MAX_RATE_HZ = 8000, 48_000


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """Little endian, interleaved."""

    rate_hz: int
    sample: Literal["s16", "f32"] = "s16"
    channels: Literal[1, 2] = 1

    @property
    def frame_bytes(self) -> int:
        return self.channels * (2 if self.sample == "s16" else 4)


class Unpacker:
    """Bytes in any pieces to mono float32 at 48 kHz."""

    def __init__(self, form: PcmFormat) -> None:
        self._form = form
        self._rest = b""
        self._resampler = ToSession(form.rate_hz)

    def push(self, data: bytes) -> FloatArray:
        data = self._rest + data
        whole = len(data) // self._form.frame_bytes * self._form.frame_bytes
        self._rest = data[whole:]
        return self._resampler.push(self._mono(data[:whole]))

    def flush(self) -> FloatArray:
        """What the filter held back; a frame that was never completed is dropped."""
        self._rest = b""
        return self._resampler.flush()

    def _mono(self, data: bytes) -> FloatArray:
        if self._form.sample == "s16":
            samples = np.frombuffer(data, "<i2").astype(np.float32) / 32768
        else:
            samples = np.nan_to_num(np.frombuffer(data, "<f4"), posinf=1.0, neginf=-1.0)
            samples = np.clip(samples, -1.0, 1.0)
        if self._form.channels == 2:
            samples = samples.reshape(-1, 2).mean(axis=1, dtype=np.float32)
        return np.asarray(samples, np.float32)


class PcmSegment:
    """One utterance of a client: `push` its bytes, then `end` it. `on_change(segment, pts)`
    learns of each 20 ms heard and of an interruption; `pts` is the media time of that."""

    kind = "pcm"

    def __init__(
        self, form: PcmFormat, number: int, on_change: Callable[[PcmSegment, int], None]
    ) -> None:
        self.number = number
        self.problem: AvatarError | None = None
        self.ended = self.interrupted = False
        self.heard_samples = 0
        self._unpacker = Unpacker(form)
        self._queue = SampleQueue(HIGH_WATER_S)
        self._on_change = on_change

    @property
    def over(self) -> bool:
        """Nothing of it will be heard any more."""
        return self.interrupted or (self.finished and self.heard_samples == self.position)

    @property
    def buffered_s(self) -> float:
        return len(self._queue) / RATE_HZ

    async def push(self, data: bytes) -> None:
        """Queue sound, then wait while more than `HIGH_WATER_S` is unplayed. What comes after an
        end or an interruption is dropped."""
        if not self.ended and not self.interrupted:
            self._queue.put(self._unpacker.push(data))
            await self._queue.room()

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            if not self.interrupted:
                self._queue.put(self._unpacker.flush())

    def begin(self) -> None:
        pass

    def read(self, n: int) -> FloatArray:
        return self._queue.take(n)

    @property
    def position(self) -> int:
        return self._queue.taken

    @property
    def finished(self) -> bool:
        return self.interrupted or (self.ended and not len(self._queue))

    def heard(self, position: int, pts: int) -> None:
        self.heard_samples = position
        self._on_change(self, pts)

    def interrupt(self, position: int, pts: int) -> Played:
        self.heard_samples = position
        self._drop()
        self._on_change(self, pts)
        return Played(self.kind, round(position / RATE_HZ, 3))

    def again(self) -> Source | None:
        return None

    async def close(self) -> None:
        if not self.finished:
            self._drop()

    def _drop(self) -> None:
        self.interrupted = True
        self._queue.clear()
