"""A PyAV encoder for live pictures, and a picture as it takes it: what all codecs share."""

from __future__ import annotations

from fractions import Fraction

import av
from av.video.frame import PictureType

KEYFRAME_INTERVAL = 3000


def open_context(
    settings: tuple[str, dict[str, str]],
    layout: tuple[str, int, int],
    fps: Fraction,
    bitrate_bps: int,
) -> av.CodecContext:
    """`settings`: an encoder's name and its private options; `layout`: pixel format, width and
    height. One thread: a worker's cores belong to its sessions."""
    name, options = settings
    context = av.CodecContext.create(name, "w")
    context.pix_fmt, context.width, context.height = layout
    context.framerate = fps
    context.time_base = 1 / fps
    context.bit_rate = bitrate_bps
    context.gop_size = KEYFRAME_INTERVAL
    context.thread_count = 1
    context.options = options
    context.open()
    return context


def stamped(frame: av.VideoFrame, pts: int, fps: Fraction, *, keyframe: bool) -> av.VideoFrame:
    frame.pts = pts
    frame.time_base = 1 / fps
    frame.pict_type = PictureType.I if keyframe else PictureType.NONE
    return frame
