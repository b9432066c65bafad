"""Video encoders for live use: RGB pictures in, `MediaPacket`s out.

Settings after measurements: VP8 at a pinned bitrate (a moving target makes key frames), no
denoiser, cpu-used -8; H.264 constrained baseline with a fast preset and no reordering.
One thread each: a worker's cores belong to its sessions.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

import av
import cv2
from av.video.frame import PictureType

from sonic_stream.media import ByteArray, MediaPacket

KEYFRAME_INTERVAL = 3000


class VideoEncoder(Protocol):
    def encode(self, picture: ByteArray, pts: int, *, keyframe: bool) -> MediaPacket | None: ...


def _vp8(bitrate_bps: int) -> tuple[str, dict[str, str]]:
    return "libvpx", {
        "deadline": "realtime",
        "cpu-used": "-8",
        "noise-sensitivity": "0",
        "lag-in-frames": "0",
        "error-resilient": "1",
        "minrate": str(bitrate_bps),
        "maxrate": str(bitrate_bps),
        "bufsize": str(bitrate_bps // 2),
        "undershoot-pct": "100",
        "overshoot-pct": "15",
        "qmin": "4",
        "qmax": "56",
        "static-thresh": "1",
    }


def _x264(bitrate_bps: int) -> tuple[str, dict[str, str]]:
    return "libx264", {
        "preset": "superfast",
        "tune": "zerolatency",
        "profile": "baseline",
        "level": "3.1",
        "maxrate": str(bitrate_bps),
        "bufsize": str(bitrate_bps // 2),
        "forced-idr": "1",
    }


def _nvenc(bitrate_bps: int) -> tuple[str, dict[str, str]]:
    return "h264_nvenc", {
        "preset": "p2",
        "tune": "ull",
        "profile": "baseline",
        "rc": "cbr",
        "zerolatency": "1",
        "forced-idr": "1",
        "maxrate": str(bitrate_bps),
    }


class LibavEncoder:
    """One PyAV encoder. `settings` is an encoder's name and its private options."""

    def __init__(
        self,
        codec: str,
        settings: tuple[str, dict[str, str]],
        size_px: int,
        fps: Fraction,
        bitrate_bps: int,
    ) -> None:
        self._codec = codec
        self._fps = fps
        name, options = settings
        context = av.CodecContext.create(name, "w")
        context.width = context.height = size_px
        context.pix_fmt = "yuv420p"
        context.framerate = fps
        context.time_base = 1 / fps
        context.bit_rate = bitrate_bps
        context.gop_size = KEYFRAME_INTERVAL
        context.thread_count = 1
        context.options = options
        context.open()
        self._context = context

    def encode(self, picture: ByteArray, pts: int, *, keyframe: bool) -> MediaPacket | None:
        """`picture` uint8 [H, W, 3] RGB. None when the encoder skipped it."""
        planar = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
        frame = av.VideoFrame.from_ndarray(planar, format="yuv420p")
        frame.pts = pts
        frame.time_base = 1 / self._fps
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        packets = self._context.encode(frame)
        if not packets:
            return None
        return MediaPacket(
            codec=self._codec,
            data=b"".join(bytes(packet) for packet in packets),
            pts=pts,
            time_base=1 / self._fps,
            keyframe=any(packet.is_keyframe for packet in packets),
        )


def open_encoder(codec: str, size_px: int, fps: Fraction, bitrate_bps: int) -> VideoEncoder:
    """The best encoder there is for "vp8" or "h264". Raises `ValueError` for others."""
    if codec == "vp8":
        return LibavEncoder(codec, _vp8(bitrate_bps), size_px, fps, bitrate_bps)
    if codec == "h264":
        try:
            return LibavEncoder(codec, _nvenc(bitrate_bps), size_px, fps, bitrate_bps)
        except (av.FFmpegError, ValueError):  # no card, no driver, or built without it
            return LibavEncoder(codec, _x264(bitrate_bps), size_px, fps, bitrate_bps)
    raise ValueError(f"no encoder for {codec!r}; there are vp8 and h264")
