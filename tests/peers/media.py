"""What a peer received of a testcard stream, and how well its sound and picture agree.

The testcard flashes in the frame in which a sound begins, and every picture tells its number.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import av
import numpy as np
import numpy.typing as npt

from sonic_stream.engines.testcard import FPS, is_flash, read_pts
from sonic_stream.media import ByteArray

LOUD = 0.06  # amplitude at which a beep has begun
QUIET_S = 0.3
FRAME_S = float(1 / FPS)


@dataclass(frozen=True)
class Picture:
    """`number` as it was drawn; `time_s` on the peer's own scale, that of its sound."""

    number: int | None
    time_s: float
    flash: bool
    arrival_s: float


@dataclass
class Reception:
    """Filled by `picture` and `sound` as media arrive."""

    pictures: list[Picture] = field(default_factory=list)
    onsets_s: list[float] = field(default_factory=list)
    sound_s: float = 0.0
    _loud_s: float = -1.0

    def picture(self, rgb: ByteArray, time_s: float) -> None:
        """`rgb` [H, W, 3]."""
        number = read_pts(rgb)
        self.pictures.append(Picture(number, time_s, is_flash(rgb), time.monotonic()))

    def sound(self, samples: npt.NDArray[np.float32], time_s: float, rate_hz: int = 48_000) -> None:
        """`samples` [n] in -1..1."""
        for at in np.flatnonzero(np.abs(samples) > LOUD):
            moment = time_s + float(at) / rate_hz
            if self._loud_s < 0 or moment - self._loud_s > QUIET_S:
                self.onsets_s.append(moment)
            self._loud_s = moment
        self.sound_s += len(samples) / rate_hz

    @property
    def numbers(self) -> list[int]:
        return [picture.number for picture in self.pictures if picture.number is not None]

    @property
    def fps(self) -> float:
        """Pictures per second of the peer's own time."""
        if len(self.pictures) < 2:
            return 0.0
        passed_s = self.pictures[-1].time_s - self.pictures[0].time_s
        return (len(self.pictures) - 1) / passed_s

    def skews_ms(self) -> list[float]:
        """Of each beep: how much later its flash is (the middle of the 40 ms in which it may
        have begun, so a perfect stream is within 20 ms of zero)."""
        before = [False, *(picture.flash for picture in self.pictures)]
        flashes = [p.time_s for p, was in zip(self.pictures, before, strict=False)
                   if p.flash and not was]  # fmt: skip
        skews = []
        for onset in self.onsets_s:
            nearest = min(flashes, key=lambda flash: abs(flash - onset), default=None)
            if nearest is not None and abs(nearest - onset) < 0.45:
                skews.append(1000 * (nearest + FRAME_S / 2 - onset))
        return skews

    def slips_ms(self) -> list[float]:
        """By how much each picture's time is not its number's, counted from the second one (an
        MP4's first is shown from the very beginning, before AAC's first samples)."""
        known = [(p.time_s, p.number) for p in self.pictures[1:] if p.number is not None]
        return [
            1000 * abs(time_s - known[0][0] - (number - known[0][1]) * FRAME_S)
            for time_s, number in known
        ]

    def delays_s(self) -> list[float]:
        """When each picture was received, on the monotonic clock, less its number's time: the
        difference between two peers of one session is their difference in latency."""
        return [p.arrival_s - p.number * FRAME_S for p in self.pictures if p.number is not None]

    def figures(self, prefix: str, reference: Reception | None = None) -> dict[str, float]:
        """For a benchmark. Latency is from the moment at which a picture leaves, as the fastest
        pictures of `reference` (a WHEP player of the same session and machine) show it."""
        skews = np.abs(self.skews_ms())
        found = {
            f"{prefix}_fps": round(self.fps, 2),
            f"{prefix}_skew_ms_p95": round(float(np.percentile(skews, 95)), 1),
            f"{prefix}_beeps": len(skews),
        }
        if reference is not None:
            left_s = np.percentile(reference.delays_s(), 5)
            latency_ms = 1000 * (float(np.median(self.delays_s())) - left_s)
            found[f"{prefix}_latency_ms_p50"] = round(float(latency_ms), 1)
        return found


def read(
    source: str | Path | IO[bytes] | None, seconds: float | None = None, **options: str
) -> Reception:
    """Decode a file, or a live address or pipe for so many seconds of its own time. Blocks. Raises
    `LookupError` when sound or picture is missing."""
    reception = Reception()
    first_s: float | None = None
    place = str(source) if isinstance(source, str | Path) else source
    with av.open(place, timeout=(10.0, 10.0), options=options) as container:
        wanted = [*container.streams.video[:1], *container.streams.audio[:1]]
        if len(wanted) < 2:
            raise LookupError(f"{source} has no sound or no picture (yet)")
        for packet in container.demux(wanted):
            for frame in packet.decode():
                first_s = frame.time if first_s is None else first_s
                take(reception, frame)
                if seconds is not None and frame.time - first_s > seconds:
                    return reception
    return reception


def take(reception: Reception, frame: av.VideoFrame | av.AudioFrame) -> None:
    """A decoded frame with its own time."""
    if isinstance(frame, av.VideoFrame):
        reception.picture(frame.to_ndarray(format="rgb24"), frame.time)
        return
    samples = frame.to_ndarray()
    scale = 1.0 if samples.dtype == np.float32 else 1 / 32768
    channels = len(frame.layout.channels)
    planes = samples if frame.format.is_planar else samples.reshape(-1, channels).T
    reception.sound(planes[0].astype(np.float32) * scale, frame.time, frame.sample_rate)
