"""Encoded pictures and PCM into a container: a file, or a stream to a server. Blocks; it runs
in a child process (`mux_process`).

Time zero is the first key frame. Every stamp is counted (frames, samples) from there; sound and
picture of one media instant carry the same time, wherever the session's latency put them.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import av
import numpy as np
import numpy.typing as npt
from av.packet import PacketSideData, packet_sidedata_type_from_literal

from avatar_server.sinks.caption_track import CaptionTrack, Line
from avatar_server.worker.vp9 import split

RATE_HZ = 48_000
PICTURE_HZ = 90_000  # what pictures are stamped in: a whole number of it at any usual rate
FRAME = 960
AUDIO_BPS = 128_000
# So much sound is kept until the first key frame tells from where on it is wanted.
PENDING = 200
ALPHA_ID = struct.pack(">Q", 1)  # Matroska's BlockAddID of an alpha picture
MS = Fraction(1, 1000)


@dataclass(frozen=True, slots=True)
class Format:
    """A container: what PyAV calls it, its audio codec, and that of its captions if any."""

    name: str
    audio: str
    captions: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


# Files are cut into pieces of a second, each whole as soon as it is written, so that a crash
# loses no more than that and what is under way; a finished MP4 is an ordinary one.
FORMATS = {
    "mp4": Format(
        "mp4", "aac", "mov_text", {"movflags": "hybrid_fragmented", "frag_duration": "1000000"}
    ),
    "webm": Format("webm", "libopus", "webvtt", {"cluster_time_limit": "1000"}),
    "flv": Format("flv", "aac", "", {"flvflags": "no_duration_filesize"}),
    # Sound is not gathered until there is a packet full of it.
    "mpegts": Format("mpegts", "aac", "", {"pes_payload_size": "0"}),
}
# Captions are seldom: without a limit the muxer would hold back all else until one comes.
COMMON_OPTIONS = {"flush_packets": "1", "max_interleave_delta": "400000"}


class Writable(Protocol):
    def write(self, data: bytes) -> int: ...


@dataclass(frozen=True, slots=True)
class MuxSettings:
    """`target`: a path, a URL, or where to write to. `codec`: of the pictures. `latency_samples`:
    by how much the sound of a picture comes later on the session's scale of time."""

    format: str
    target: str | Writable
    codec: str
    fps: Fraction
    size_px: int
    latency_samples: int
    captions: bool = False


class Muxer:
    """Methods raise `av.FFmpegError` or `OSError` when the target does not take it, and what a
    `Writable` raises."""

    def __init__(self, settings: MuxSettings) -> None:
        kind = FORMATS[settings.format]
        self._settings = settings
        self._out = av.open(
            settings.target, "w", format=kind.name, options={**kind.options, **COMMON_OPTIONS}
        )
        codec, _, alpha = settings.codec.partition("+")
        size = settings.size_px
        self._video = self._out.add_mux_stream(codec, settings.fps, width=size, height=size)
        if alpha:
            self._video.metadata["alpha_mode"] = "1"
        self._audio = self._out.add_stream(kind.audio, RATE_HZ, layout="mono")
        self._audio.bit_rate = AUDIO_BPS
        self._captions = None
        if kind.captions and settings.captions:
            self._captions = self._out.add_mux_stream(kind.captions, time_base=MS)
        self._first: int | None = None  # the first key frame
        self._last = -1  # the newest picture
        self._held: av.Packet | None = None
        self._lines = CaptionTrack()
        self._heard = 0  # samples since time zero
        self._pending: deque[tuple[npt.NDArray[np.int16], int]] = deque(maxlen=PENDING)

    @property
    def seconds(self) -> float:
        """How much was taken."""
        return self._heard / RATE_HZ

    @property
    def began(self) -> bool:
        return self._first is not None

    def picture(self, data: bytes, pts: int, *, keyframe: bool) -> None:
        """An encoded picture, `pts` in 1/90000 s; those before the first key frame are dropped."""
        if self._first is None and not keyframe:
            return
        if self._first is None:
            self._first = pts
        if pts <= self._last:  # drawn anew after a worker's restart
            return
        self._last = pts
        packet = self._packet(data)
        packet.stream = self._video
        packet.pts = packet.dts = pts - self._first
        packet.duration = int(PICTURE_HZ / self._settings.fps)
        packet.time_base = Fraction(1, PICTURE_HZ)
        packet.is_keyframe = keyframe
        self._mux_picture(packet)
        while self._pending:
            self.sound(*self._pending.popleft())

    def sound(self, samples: npt.NDArray[np.int16], pts: int) -> None:
        """`samples` int16 [n] at 48 kHz; what is missing before them becomes silence."""
        if self._first is None:
            self._pending.append((samples, pts))
            return
        at = pts - self._zero
        samples = samples[max(self._heard - at, 0) :]
        while len(samples) and at > self._heard:
            self._encode(np.zeros(min(at - self._heard, FRAME), np.int16))
        if len(samples):
            self._encode(samples)

    def caption(self, text: str, start_pts: int, end_pts: int, *, final: bool) -> None:
        """From one sample to another on the scale of the sound, told as often as it changes.
        Ignored where there is no track for it, and before the beginning."""
        if self._captions is not None and self._first is not None:
            start_ms, end_ms = (self._ms_of(pts - self._zero) for pts in (start_pts, end_pts))
            before_ms = self._lines.end_ms
            self._write(self._lines.told(text, start_ms, end_ms, final=final), before_ms)

    def _write(self, line: Line | None, before_ms: int) -> None:
        """It is written late. An MP4 counts times by durations, and begins a piece where the last
        one ended: what lies between two lines is a line without text."""
        if line is None:
            return
        if self._settings.format == "mp4":
            if line.start_ms > before_ms:
                self._mux_line(struct.pack(">H", 0), before_ms, line.start_ms)
            data = line.text.encode()
            self._mux_line(struct.pack(">H", len(data)) + data, line.start_ms, line.end_ms)
        else:
            self._mux_line(line.text.encode(), line.start_ms, line.end_ms)

    def _mux_line(self, data: bytes, start_ms: int, end_ms: int) -> None:
        packet = av.Packet(data)
        packet.stream = self._captions
        packet.pts = packet.dts = start_ms
        packet.duration = end_ms - start_ms
        packet.time_base = MS
        packet.is_keyframe = True
        self._out.mux(packet)

    def close(self) -> None:
        """Write what the encoder still holds and finish the container."""
        if self._held is not None:
            self._out.mux(self._held)
        if self._first is not None:
            self._out.mux(self._audio.encode(None))
            if self._captions is not None:
                before_ms = self._lines.end_ms
                self._write(self._lines.close(self._ms_of(self._heard)), before_ms)
        self._out.close()

    @property
    def _zero(self) -> int:
        """The sound's pts at time zero."""
        assert self._first is not None
        return self._first * RATE_HZ // PICTURE_HZ + self._settings.latency_samples

    def _mux_picture(self, packet: av.Packet) -> None:
        """An MP4 times pictures by their durations: each waits for the next one, so that its
        own is true where pictures were left out."""
        if self._settings.format != "mp4":
            self._out.mux(packet)
            return
        if self._held is not None:
            self._held.duration = packet.pts - self._held.pts
            self._out.mux(self._held)
        self._held = packet

    @staticmethod
    def _ms_of(samples: int) -> int:
        return samples * 1000 // RATE_HZ

    def _encode(self, samples: npt.NDArray[np.int16]) -> None:
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.time_base = Fraction(1, RATE_HZ)
        frame.pts = self._heard
        self._heard += len(samples)
        self._out.mux(self._audio.encode(frame))

    def _packet(self, data: bytes) -> av.Packet:
        if not self._settings.codec.endswith("+alpha"):
            return av.Packet(data)
        colour, alpha = split(data)
        packet = av.Packet(colour)
        kind = packet_sidedata_type_from_literal("matroska_block_additional")
        extra = PacketSideData(kind, len(ALPHA_ID) + len(alpha))  # type: ignore[call-arg]
        extra.update(ALPHA_ID + alpha)
        packet.set_sidedata(extra)
        return packet
