"""PURE. The portrait as the model wants it: size, face mask, CLIP pixels, crop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sonic_stream.engine import Portrait
from sonic_stream.media import ByteArray, FloatArray

SIDE_MULTIPLE = 64
MASK_GROWTH = 1.1
CLIP_PX = 224
BACKDROP = 0.16  # grey behind a portrait with transparency
CLIP_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
CLIP_STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Prepared:
    """`picture` [3, H, W] in -1..1, `mask` [1, H, W] in 0..1, `clip` [3, 224, 224] normalised."""

    picture: FloatArray
    mask: FloatArray
    clip: FloatArray


def target_size(width: int, height: int, resolution: int) -> tuple[int, int]:
    """(width, height) whose short side is about `resolution`, each a multiple of 64."""
    scale = resolution / min(width, height)
    sides = [round(side * scale / SIDE_MULTIPLE) * SIDE_MULTIPLE for side in (width, height)]
    return sides[0], sides[1]


def prepare(
    image: ByteArray, face_xywh: Box, resolution: int, growth: float = MASK_GROWTH
) -> Prepared:
    """RGB [H, W, 3] and the face's box in its pixels -> what the encoders take."""
    height, width = image.shape[:2]
    size = target_size(width, height, resolution)
    source = Image.fromarray(image)
    lanczos = Image.Resampling.LANCZOS
    resized = source.resize(size, lanczos)
    picture = np.asarray(resized, np.float32) / 255
    face = Image.fromarray(face_mask(width, height, face_xywh, growth)).resize(size, lanczos)
    small = np.asarray(resized.resize((CLIP_PX, CLIP_PX), lanczos), np.float32) / 255
    return Prepared(
        picture=np.ascontiguousarray((picture * 2 - 1).transpose(2, 0, 1)),
        mask=(np.asarray(face, np.float32) / 255)[None],
        clip=np.ascontiguousarray(((small - CLIP_MEAN) / CLIP_STD).transpose(2, 0, 1)),
    )


def prepared_portrait(portrait: Portrait, resolution: int) -> Prepared:
    """A judged portrait, its face's box from the landmarks."""
    rgba = portrait.rgba.astype(np.float32) / 255
    alpha = rgba[..., 3:]
    flat = np.rint(255 * (rgba[..., :3] * alpha + BACKDROP * (1 - alpha))).astype(np.uint8)
    low, high = portrait.landmarks[:, :2].min(0), portrait.landmarks[:, :2].max(0)
    box = (float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))
    return prepare(flat, box, resolution)


def face_mask(width: int, height: int, face_xywh: Box, growth: float) -> ByteArray:
    """[height, width], 255 in the box grown about its centre, 0 elsewhere."""
    x, y, w, h = face_xywh
    centre_x, centre_y = (2 * x + w) // 2, (2 * y + h) // 2
    half_w, half_h = w * growth // 2, h * growth // 2
    left, right = int(max(centre_x - half_w, 0)), int(min(centre_x + half_w, width))
    top, bottom = int(max(centre_y - half_h, 0)), int(min(centre_y + half_h, height))
    mask = np.zeros((height, width), np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def crop_square(
    face_ltrb: Box, expand_ratio: float, width: int, height: int
) -> tuple[int, int, int, int]:
    """The square (left, top, right, bottom) around a face.

    The box grows by the ratio on each side and is clipped; the square of its short side then
    moves along the long one towards the face, within the box.
    """
    left, top, right, bottom = face_ltrb
    grow_x, grow_y = expand_ratio * (right - left), expand_ratio * (bottom - top)
    wide = (max(left - grow_x, 0.0), min(right + grow_x, float(width)))
    tall = (max(top - grow_y, 0.0), min(bottom + grow_y, float(height)))
    side = min(wide[1] - wide[0], tall[1] - tall[0])
    x = _centre(wide, side, (left + right) / 2) - side / 2
    y = _centre(tall, side, (top + bottom) / 2) - side / 2
    return round(x), round(y), round(x + side), round(y + side)


def _centre(span: tuple[float, float], side: float, wanted: float) -> float:
    middle, slack = (span[0] + span[1]) / 2, (span[1] - span[0] - side) / 2
    return middle + min(max(wanted - middle, -slack), slack)
