"""VP9 with an alpha picture beside each colour picture, for files with transparency."""

from __future__ import annotations

import struct
from fractions import Fraction

import av
import numpy as np

from avatar_server.worker.context import open_context, stamped
from sonic_stream.media import ByteArray, MediaPacket

VP9_ALPHA = "vp9+alpha"
ID_BYTES = 8  # before the alpha picture libvpx's side data holds Matroska's BlockAddID
_LENGTH = struct.Struct("<I")


def join(colour: bytes, alpha: bytes) -> bytes:
    return _LENGTH.pack(len(colour)) + colour + alpha


def split(data: bytes) -> tuple[bytes, bytes]:
    """Colour and alpha of a packet of `VP9_ALPHA`. Raises `ValueError` when it is none."""
    if len(data) < _LENGTH.size:
        raise ValueError(f"{len(data)} bytes are no picture with alpha")
    end = _LENGTH.size + _LENGTH.unpack_from(data)[0]
    if end > len(data):
        raise ValueError("a picture with alpha is cut off")
    return data[_LENGTH.size : end], data[end:]


class Vp9AlphaEncoder:
    """Colour and matte, each a VP9 picture; `data` is both, to be parted by `split`."""

    def __init__(self, size_px: int, fps: Fraction, bitrate_bps: int) -> None:
        self._fps = fps
        options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
        layout = ("yuva420p", size_px, size_px)
        self._context = open_context(("libvpx-vp9", options), layout, fps, bitrate_bps)

    def encode(self, picture: ByteArray, pts: int, *, keyframe: bool) -> MediaPacket | None:
        """`picture` uint8 [H, W, 3 or 4] RGB or RGBA with straight alpha."""
        if picture.shape[2] == 3:
            opaque = np.full((*picture.shape[:2], 1), 255, np.uint8)
            picture = np.concatenate([picture, opaque], axis=2)
        frame = av.VideoFrame.from_ndarray(picture, format="rgba").reformat(format="yuva420p")
        packets = self._context.encode(stamped(frame, pts, self._fps, keyframe=keyframe))
        if not packets:
            return None
        (packet,) = packets
        alpha = bytes(packet.get_sidedata("matroska_block_additional"))[ID_BYTES:]
        return MediaPacket(
            codec=VP9_ALPHA,
            data=join(bytes(packet), alpha),
            pts=pts,
            time_base=1 / self._fps,
            keyframe=bool(packet.is_keyframe),
        )
