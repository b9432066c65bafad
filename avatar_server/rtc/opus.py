"""Opus through libopus: one encoder per session, one decoder per microphone."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt

from sonic_stream.media import FloatArray, MediaPacket

RATE_HZ = 48_000
FRAME = 960  # 20 ms
BITRATE_BPS = 64_000


class OpusEncoder:
    """48 kHz mono int16 in, 20 ms packets out; in-band FEC so that a loss can be repaired."""

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "w")
        context.sample_rate = RATE_HZ
        context.layout = "mono"
        context.format = "s16"
        context.bit_rate = BITRATE_BPS
        context.options = {
            "application": "audio",
            "frame_duration": "20",
            "fec": "1",
            "packet_loss": "5",
        }
        context.open()
        self._context = context

    def encode(self, samples: npt.NDArray[np.int16], pts: int) -> list[MediaPacket]:
        """`samples` int16 [960], `pts` in samples. A packet carries its first sample's pts."""
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.time_base = Fraction(1, RATE_HZ)
        frame.pts = pts
        return [
            MediaPacket("opus", bytes(packet), pts, Fraction(1, RATE_HZ), keyframe=True)
            for packet in self._context.encode(frame)
        ]


class OpusDecoder:
    """One packet in, mono float32 [n] at 48 kHz out; empty for a packet it cannot read."""

    def __init__(self) -> None:
        context = av.CodecContext.create("libopus", "r")
        context.sample_rate = RATE_HZ
        context.layout = "stereo"
        context.open()
        self._context = context

    def decode(self, payload: bytes) -> FloatArray:
        try:
            frames = self._context.decode(av.Packet(payload))
        except av.FFmpegError:
            return np.zeros(0, np.float32)
        pieces = [_mono(frame) for frame in frames]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


def _mono(frame: av.AudioFrame) -> FloatArray:
    samples = frame.to_ndarray()
    scale = 1.0 if samples.dtype == np.float32 else 1.0 / 32768
    channels = len(frame.layout.channels)
    by_channel = samples if frame.format.is_planar else samples.reshape(-1, channels).T
    return np.asarray(by_channel.astype(np.float32).mean(axis=0) * scale, np.float32)
