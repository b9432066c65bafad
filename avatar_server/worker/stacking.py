"""PURE. A picture with alpha as one video picture: colours above, the matte as luma below.

Codecs for live video know no alpha, so it travels as a second, grey picture in the same frame,
in step by construction. Colours are straight and go on beyond the matte's edge (the engine sees
to that): halved chroma mixes in nothing foreign. Alpha 0..255 is luma 16..235, as for any grey,
so whatever turns the video into RGB gives it back. A reader (`unstacked`, and the OBS page's
shader) allows for what coding does: `SLACK`, and the filter across the seam, `SEAM_PX`.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from sonic_stream.media import ByteArray

ALPHA = "+alpha"  # codec names: "vp8+alpha", "h264+alpha"
SLACK = 8  # levels of alpha at either end that a reader takes for fully transparent or opaque
NEUTRAL = 160  # grey behind a transparent picture whose engine names no background
SEAM_PX = 6  # so many rows of the matte, next to the colours, are read from the row below them

_LUMA = np.round(16 + np.arange(256) * (219 / 255)).astype(np.uint8)


def planar(picture: ByteArray) -> ByteArray:
    """RGB uint8 [H, W, 3] -> I420 [3 H / 2, W]."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420))


def stacked(picture: ByteArray) -> ByteArray:
    """RGBA uint8 [H, W, 4], or opaque RGB -> I420 [3 H, W] of a picture 2 H high."""
    height, width, channels = picture.shape
    out = np.empty((3 * height, width), np.uint8)
    colours = planar(picture if channels == 3 else cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB))
    out[:height] = colours[:height]
    if channels == 3:
        out[height : 2 * height] = _LUMA[255]
    else:
        out[height : 2 * height] = cv2.LUT(cv2.extractChannel(picture, 3), _LUMA)
    chroma = out[2 * height :].reshape(2, 2, -1)  # plane, half of the picture, samples
    chroma[:, 0] = colours[height:].reshape(2, -1)
    chroma[:, 1] = 128
    return out


def unstacked(picture: ByteArray) -> ByteArray:
    """What a reader makes of a decoded picture RGB [2 H, W, 3]: RGBA [H, W, 4]."""
    height = len(picture) // 2
    level = picture[height:, :, 1].astype(np.float32)
    level[:SEAM_PX] = level[SEAM_PX]
    alpha = np.clip((level - SLACK) * (255 / (255 - 2 * SLACK)), 0, 255)
    return np.dstack([picture[:height], np.round(alpha).astype(np.uint8)])


def over(rgba: ByteArray, behind: ByteArray) -> ByteArray:
    """Straight RGBA [H, W, 4] over a background [H, W, 3]."""
    alpha = cv2.extractChannel(rgba, 3)
    cover, open_ = cv2.merge([alpha] * 3), cv2.merge([cv2.bitwise_not(alpha)] * 3)
    front = cv2.multiply(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), cover, scale=1 / 255)
    return np.asarray(cv2.add(front, cv2.multiply(behind, open_, scale=1 / 255)))


def rungs(
    picture: ByteArray, behind: ByteArray | None, codecs: Iterable[str]
) -> dict[str, ByteArray]:
    """What each codec is given: the picture as it was drawn, or put over its background."""
    plain = picture
    if picture.shape[2] == 4 and not all(codec.endswith(ALPHA) for codec in codecs):
        wall = np.full_like(picture[..., :3], NEUTRAL) if behind is None else behind
        plain = over(picture, wall)
    return {codec: picture if codec.endswith(ALPHA) else plain for codec in codecs}
