"""Video encoders for live use: RGB or RGBA pictures in, `MediaPacket`s out.

Settings after measurements: VP8 at a pinned bitrate (a moving target makes key frames), no
denoiser, cpu-used -8; H.264 constrained baseline with a fast preset and no reordering.
One thread each: a worker's cores belong to its sessions. "vp8+alpha" and "h264+alpha" carry
the matte below the colours (see `stacking`).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol

import av

from avatar_server.worker.context import open_context, stamped
from avatar_server.worker.stacking import ALPHA, planar, stacked
from avatar_server.worker.vp9 import VP9_ALPHA, Vp9AlphaEncoder
from sonic_stream.media import ByteArray, MediaPacket

ALPHA_BITRATE = 1.25  # the matte is still but for its edge
# H.264 levels (table A-1): macroblocks a second, macroblocks a picture.
_LEVELS = (("3.1", 108_000, 3600), ("4", 245_760, 8192), ("5", 589_824, 22_080),
           ("5.1", 983_040, 36_864), ("5.2", 2_073_600, 36_864))  # fmt: skip


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


def h264_level(width: int, height: int, fps: Fraction) -> str:
    """The lowest level (3.1 or above) that allows such pictures."""
    blocks = -(-width // 16) * -(-height // 16)
    fitting = (name for name, rate, size in _LEVELS if blocks <= size and blocks * fps <= rate)
    return next(fitting, _LEVELS[-1][0])


def _x264(bitrate_bps: int, level: str) -> tuple[str, dict[str, str]]:
    return "libx264", {
        "preset": "superfast",
        "tune": "zerolatency",
        "profile": "baseline",
        "level": level,
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
    """One PyAV encoder. `settings` is an encoder's name and its private options, `size` the
    coded picture's width and height."""

    def __init__(
        self,
        codec: str,
        settings: tuple[str, dict[str, str]],
        size: tuple[int, int],
        fps: Fraction,
        bitrate_bps: int,
    ) -> None:
        self._codec = codec
        self._layout = stacked if codec.endswith(ALPHA) else planar
        self._fps = fps
        self._context = open_context(settings, ("yuv420p", *size), fps, bitrate_bps)

    def encode(self, picture: ByteArray, pts: int, *, keyframe: bool) -> MediaPacket | None:
        """`picture` uint8 [H, W, 3] RGB; with alpha also [H, W, 4]. None when the encoder
        skipped it."""
        frame = av.VideoFrame.from_ndarray(self._layout(picture), format="yuv420p")
        packets = self._context.encode(stamped(frame, pts, self._fps, keyframe=keyframe))
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
    """The best encoder there is for "vp8" or "h264", each also with "+alpha", or "vp9+alpha".

    Raises `ValueError` for others."""
    if codec == VP9_ALPHA:
        return Vp9AlphaEncoder(size_px, fps, bitrate_bps)
    kind, size = codec.removesuffix(ALPHA), (size_px, size_px)
    if codec != kind:
        size, bitrate_bps = (size_px, 2 * size_px), int(ALPHA_BITRATE * bitrate_bps)
    if kind == "vp8":
        return LibavEncoder(codec, _vp8(bitrate_bps), size, fps, bitrate_bps)
    if kind == "h264":
        try:
            return LibavEncoder(codec, _nvenc(bitrate_bps), size, fps, bitrate_bps)
        except (av.FFmpegError, ValueError):  # no card, no driver, or built without it
            settings = _x264(bitrate_bps, h264_level(*size, fps))
            return LibavEncoder(codec, settings, size, fps, bitrate_bps)
    raise ValueError(
        f"no encoder for {codec!r}; there are vp8 and h264, also with {ALPHA}, and vp9{ALPHA}"
    )
