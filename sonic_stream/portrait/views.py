"""PURE. Level views of a part of the face, in colours that tell skin from what is drawn on it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.media import ByteArray, FloatArray

TINT = np.array([0.4, 1.6, 1.6], np.float32)  # light changes on skin, its tint less


def lab_of(colours: npt.ArrayLike) -> FloatArray:
    """CIELAB of RGB colours 0..255 [..., 3]."""
    flat = np.asarray(colours, np.float32).reshape(1, -1, 3) / np.float32(255)
    return np.asarray(cv2.cvtColor(flat, cv2.COLOR_RGB2LAB), np.float32).reshape(np.shape(colours))


def level_view(
    picture: ByteArray,
    ends: npt.NDArray[np.float64],
    apart: float,
    size: tuple[int, int],
    middle: tuple[float, float],
) -> tuple[FloatArray, npt.NDArray[np.float64]]:
    """CIELAB [H, W, 3] of the picture with its points `ends` [2, 2] level, `apart` pixels from
    each other and their middle at `middle`, and the matrix [2, 3] from the picture. `size`: W, H.
    """
    first, last = ends
    width = max(float(np.linalg.norm(last - first)), 1e-3)
    scale, axis = apart / width, (last - first) / width
    turn = scale * np.array([axis, [-axis[1], axis[0]]])
    matrix = np.column_stack([turn, np.array(middle) - turn @ (first + last) / 2])
    soft = cv2.GaussianBlur(picture, (0, 0), 0.4 / scale) if scale < 1 else picture
    seen = cv2.warpAffine(
        soft, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return lab_of(seen), matrix
