"""PURE. Animals that the face finder takes for people.

Two signs, both with lips that are no redder than the cheeks: fur, which is fine, strong and
combed, where people have bare skin, on the cheeks below the eyes and on the forehead; and the
black nose of a muzzle, which the finder takes for a mouth.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.media import ByteArray, FloatArray
from sonic_stream.portrait.views import lab_of

WORK_PX = 512
UPPER_LIP = [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291]
LOWER_LIP = [375, 321, 405, 314, 17, 84, 181, 91, 146]
MOUTH = [
    78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95,
]  # fmt: skip
BELOW_EYES, FOREHEAD, LOWER_CHEEKS = [50, 280, 117, 346], [151, 9, 108, 337], [205, 425]
ABOVE_LIPS = 164
RED = 4.0  # CIELAB a: lips against cheeks
FINE, COMBED = 0.012, 0.40  # of the skin's lightness; 0 any direction .. 1 one alone
BLACK = 0.30  # of the skin's lightness


def is_animal(rgba: ByteArray, landmarks: FloatArray) -> bool:
    """For a cropped portrait [S, S, 4]."""
    small = cv2.resize(rgba[..., :3], (WORK_PX, WORK_PX), interpolation=cv2.INTER_AREA)
    lab = lab_of(small)
    points = landmarks[:, :2] * np.float32(WORK_PX / len(rgba))
    radius = max(int(0.02 * np.linalg.norm(points[454] - points[234])), 2)
    cheeks = _typical(lab, points, BELOW_EYES + LOWER_CHEEKS, radius)
    lips = np.median(lab[_lips(points)], 0)
    if lips[1] - cheeks[1] > RED:
        return False
    skin = max(float(cheeks[0]), 5.0)
    nose = _typical(lab, points, [ABOVE_LIPS], radius)
    if max(lips[0], nose[0]) < BLACK * skin:
        return True
    fine, combed = _texture(lab[..., 0])
    return all(
        _typical(fine, points, places, 8) > FINE * skin
        and _typical(combed, points, places, 8) > COMBED
        for places in (BELOW_EYES, FOREHEAD)
    )


def _lips(points: FloatArray) -> npt.NDArray[np.bool_]:
    """The red of the lips without what is between them [512, 512]."""
    mask = np.zeros((WORK_PX, WORK_PX), np.uint8)
    for outline, value in ((UPPER_LIP + LOWER_LIP, 1), (MOUTH, 0)):
        cv2.fillPoly(mask, [np.round(points[outline]).astype(np.int32)], value)
    if not mask.any():  # a mouth of no size
        x, y = np.clip(np.round(points[13]).astype(int), 0, WORK_PX - 1)
        mask[y, x] = 1
    return np.asarray(mask > 0)


def _texture(lightness: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How strong the finest detail is, and how much of it lies in one direction (from the
    structure tensor): noise lies in all, fur does not."""
    fine = np.abs(lightness - cv2.GaussianBlur(lightness, (0, 0), 2.0))
    detail = lightness - cv2.GaussianBlur(lightness, (0, 0), 2.5)
    dx, dy = (cv2.Sobel(detail, cv2.CV_32F, *axis, scale=0.125) for axis in ((1, 0), (0, 1)))
    xx, yy, xy = (cv2.GaussianBlur(product, (0, 0), 4) for product in (dx * dx, dy * dy, dx * dy))
    combed = np.sqrt((xx - yy) ** 2 + 4 * xy * xy) / (xx + yy + 0.02)
    return np.asarray(fine, np.float32), np.asarray(combed, np.float32)


def _typical(
    values: FloatArray, points: FloatArray, places: list[int], radius: int
) -> npt.NDArray[np.float64]:
    """The median around landmarks of a picture [512, 512] or [512, 512, 3]: of their medians."""
    found = []
    for x, y in np.clip(np.round(points[places]).astype(int), radius, WORK_PX - 1 - radius):
        window = values[y - radius : y + radius + 1, x - radius : x + radius + 1]
        found.append(np.median(window, (0, 1)))
    return np.asarray(np.median(found, 0))
