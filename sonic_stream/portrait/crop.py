"""PURE. The square around a face that becomes the avatar."""

from __future__ import annotations

import cv2
import numpy as np

from sonic_stream.media import ByteArray, FloatArray

# Head and shoulders: this many face boxes wide at the default `expand_ratio`.
FRAMING = 1.74
RISE = 0.024  # the face sits this far (of the side) below the middle: hair needs the room


def square(
    landmarks: FloatArray, shape: tuple[int, int], expand_ratio: float
) -> tuple[float, float, float]:
    """Centre x, y and side of the crop in pixels, within a picture of `shape` if it fits.

    `expand_ratio` is the margin added on each side of the head-and-shoulders framing, in face
    boxes: 0.18 shows head and shoulders, 0 the head, more shows more of the body.
    """
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    side = float((high - low).max()) * (FRAMING + 2 * expand_ratio)
    height, width = shape
    side = min(side, float(max(height, width)))
    x, y = (low + high) / 2
    y -= RISE * side
    x = float(np.clip(x, side / 2, width - side / 2)) if width >= side else width / 2
    y = float(np.clip(y, side / 2, height - side / 2)) if height >= side else height / 2
    return x, y, side


def crop(
    rgba: ByteArray, landmarks: FloatArray, size_px: int, expand_ratio: float
) -> tuple[ByteArray, FloatArray]:
    """The square [size, size, 4] and the landmarks in it; beyond the border it is repeated."""
    x, y, side = square(landmarks, (rgba.shape[0], rgba.shape[1]), expand_ratio)
    scale = size_px / side
    picture = rgba
    if scale < 1:  # area-correct when it shrinks
        picture = np.asarray(
            cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        )
    zoom = scale * rgba.shape[1] / picture.shape[1]
    shift = np.array([size_px / 2 - scale * x, size_px / 2 - scale * y])
    affine = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
    square_picture = cv2.warpAffine(
        picture, affine, (size_px, size_px),
        flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    moved = landmarks * np.float32(scale)
    moved[:, :2] += shift.astype(np.float32)
    return np.asarray(square_picture), moved
