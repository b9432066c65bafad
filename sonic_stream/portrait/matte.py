"""PURE. Who is in front: a coarse mask of the person refined to hair, and the colours behind it.

Alpha is solved for in a band around the mask's edge: within small windows it is taken to be a
linear function of colour (closed-form matting, Levin et al. 2008, with the Laplacian applied by
box filters, He et al. 2010), away from the band the mask decides. Foreground colours come from
blur-fusion (Forte 2021). Pictures are float32 [H, W, 3] in 0..1, alpha float32 [H, W] in 0..1.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.media import ByteArray, FloatArray

WORK_PX = 512  # the solver's resolution; finer pictures follow by the same linear model
WINDOW = 2
NOISE = 1e-4  # variance of colour below which a window tells nothing
ITERATIONS = 60
HAIR, BODY = (9, 13), (5, 6)  # the band's width inwards and outwards, above the chin and below
TRUST = 1e-2  # in the mask within the band, against the picture's own edges
CHIN = 152


def refine(rgb: ByteArray, coarse: FloatArray, landmarks: FloatArray) -> ByteArray:
    """uint8 [S, S, 3], the person's probability float32 of any square size, and landmarks
    [478, 3] in pixels -> matte uint8 [S, S]."""
    size = len(rgb)
    scale = np.float32(WORK_PX / size)
    small = _resized(rgb, WORK_PX).astype(np.float32) / 255
    likely = _resized(coarse, WORK_PX)
    known = trimap(likely, landmarks * scale)
    model = _LinearModel(small, WINDOW, NOISE)
    alpha = _largest(_solve(model, known, likely))
    if size <= WORK_PX:
        return _bytes(_resized(alpha, size))
    # The windows' linear functions of colour, evaluated on the fine picture's colours.
    slopes, offset = model.fit(alpha)
    slope, offset = (cv2.resize(part, (size, size)) for part in (cv2.merge(slopes), offset))
    fine = (slope * (rgb.astype(np.float32) / 255)).sum(-1) + offset
    plain = cv2.resize(alpha, (size, size), interpolation=cv2.INTER_CUBIC)
    within = cv2.resize((known == 0.5).astype(np.float32), (size, size))
    return _bytes(_largest(plain + within * (fine - plain)))


def trimap(coarse: FloatArray, landmarks: FloatArray) -> FloatArray:
    """1: person, 0: background, 0.5: to be solved. The body is what hangs together with the
    face; the band around its edge is wide at the hair and narrow at the shoulders."""
    height, width = coarse.shape
    face = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(landmarks[:, :2].astype(np.int32)), 1)
    _, labels = cv2.connectedComponents((coarse > 0.5).astype(np.uint8))
    found = np.bincount(labels[face > 0], minlength=2)
    body = (labels == found[1:].argmax() + 1).astype(np.uint8) | face
    below = np.arange(height)[:, None] > landmarks[CHIN, 1] + 0.02 * height
    sure = np.where(below, _grown(body, -BODY[0]), _grown(body, -HAIR[0]))
    sure |= cv2.erode(face, _disc(6))
    near = np.where(below, _grown(body, BODY[1]), _grown(body, HAIR[1]))
    return np.where(sure > 0, 1.0, np.where(near > 0, 0.5, 0.0)).astype(np.float32)


def foreground(rgb: ByteArray, matte: ByteArray) -> ByteArray:
    """The person's own colours: what shines through at the edge is taken out, and beyond it
    they go on smoothly, so that no sampling or subsampling can mix a fringe in."""
    picture, alpha = rgb.astype(np.float32) / 255, matte.astype(np.float32)[..., None] / 255
    colours, behind = picture, picture
    for radius in (max(len(rgb) // 12, 3), max(len(rgb) // 170, 2)):
        soft = _box(alpha[..., 0], radius)[..., None]
        front = _box(colours * alpha, radius) / (soft + 1e-5)
        behind = _box(behind * (1 - alpha), radius) / (1 - soft + 1e-5)
        colours = front + alpha * (picture - alpha * front - (1 - alpha) * behind)
        colours = np.clip(colours, 0, 1)
    return _bytes(fill(colours, np.clip(alpha[..., 0] / 0.3, 0, 1)))


def plate(rgb: ByteArray, matte: ByteArray) -> ByteArray:
    """The background alone: behind the person it goes on smoothly."""
    away = max(len(rgb) // 128, 2)
    taken = cv2.dilate((matte > 5).astype(np.uint8), _disc(away))
    return _bytes(fill(rgb.astype(np.float32) / 255, 1 - taken.astype(np.float32)))


def fill(picture: FloatArray, weight: FloatArray) -> FloatArray:
    """Push-pull: `picture` [H, W, 3] where `weight` [H, W] is 1, coarser and coarser means of
    it where it is 0."""
    weight = weight[..., None]
    if min(picture.shape[:2]) <= 2:
        return np.asarray(picture * weight + picture.mean((0, 1)) * (1 - weight), np.float32)
    half = (max(picture.shape[1] // 2, 1), max(picture.shape[0] // 2, 1))
    stacked = np.dstack([picture * weight, weight]).astype(np.float32)
    low = cv2.resize(cv2.GaussianBlur(stacked, (5, 5), 1.2), half, interpolation=cv2.INTER_AREA)
    some = low[..., 3:]
    mean = (picture * weight).sum((0, 1)) / max(float(weight.sum()), 1e-6)
    coarse = np.where(some > 1e-6, low[..., :3] / np.maximum(some, 1e-6), mean)
    below = fill(coarse.astype(np.float32), np.minimum(4 * some[..., 0], 1))
    rest = cv2.resize(below, (picture.shape[1], picture.shape[0]))
    return np.asarray(picture * weight + rest * (1 - weight), np.float32)


class _LinearModel:
    """Least-squares linear functions of colour in every window: a colour guided filter. Channels
    are planes [H, W] of their own, which is quickest."""

    def __init__(self, picture: FloatArray, radius: int, noise: float) -> None:
        self._radius = radius
        self._colours = cv2.split(picture)
        self._means = [_box(colour, radius) for colour in self._colours]
        (rr, rg, rb), (_, gg, gb), (_, _, bb) = (
            [self._spread(i, j) + noise * (i == j) for j in range(3)] for i in range(3)
        )
        # The inverse of a symmetric matrix, by its cofactors.
        first = [gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg]
        second, last = rg * rb - rr * gb, rr * gg - rg * rg
        rows = [first, [first[1], rr * bb - rb * rb, second], [first[2], second, last]]
        scale = 1 / (rr * first[0] + rg * first[1] + rb * first[2])
        self._inverse = [[(scale * part).astype(np.float32) for part in row] for row in rows]

    def fit(self, alpha: FloatArray) -> tuple[list[FloatArray], FloatArray]:
        """Slope by colour and offset [H, W] of alpha, averaged over the windows of a pixel."""
        mean = offset = _box(alpha, self._radius)
        joint = [
            _box(colour * alpha, self._radius) - own * mean
            for colour, own in zip(self._colours, self._means, strict=True)
        ]
        slopes = [
            red * joint[0] + green * joint[1] + blue * joint[2]
            for red, green, blue in self._inverse
        ]
        for slope, own in zip(slopes, self._means, strict=True):
            offset = offset - slope * own
        return [_box(slope, self._radius) for slope in slopes], _box(offset, self._radius)

    def __call__(self, alpha: FloatArray) -> FloatArray:
        slopes, value = self.fit(alpha)
        for slope, colour in zip(slopes, self._colours, strict=True):
            value += slope * colour
        return value

    def _spread(self, i: int, j: int) -> npt.NDArray[np.float64]:
        """The covariance of two colours."""
        together = _box(self._colours[i] * self._colours[j], self._radius)
        return together.astype(np.float64) - self._means[i].astype(np.float64) * self._means[j]


def _solve(model: _LinearModel, known: FloatArray, likely: FloatArray) -> FloatArray:
    """Conjugate gradients on (matting Laplacian + data) alpha = data."""
    open_ = known == 0.5
    guess = 1 / (1 + np.exp(-10 * (likely - 0.5)))
    weight = np.where(open_, TRUST * np.square(2 * guess - 1) + 1e-4, 1.0).astype(np.float32)
    alpha = np.where(open_, guess, known).astype(np.float32)

    def apply(x: FloatArray) -> FloatArray:
        return x - model(x) + weight * x

    rest = weight * alpha - apply(alpha)
    scaled = rest / (weight + 0.5)
    step, power = scaled.copy(), float((rest * scaled).sum())
    for _ in range(ITERATIONS):
        pushed = apply(step)
        length = np.float32(power / max(float((step * pushed).sum()), 1e-20))
        alpha += length * step
        rest -= length * pushed
        if float(np.abs(rest).max()) < 3e-4:
            break
        scaled = rest / (weight + 0.5)
        last, power = power, float((rest * scaled).sum())
        step = scaled + np.float32(power / max(last, 1e-20)) * step
    return np.clip((alpha - 0.04) / 0.92, 0, 1).astype(np.float32)


def _largest(alpha: FloatArray) -> FloatArray:
    """Without specks that hang in the air."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.08).astype(np.uint8))
    if len(stats) < 2:
        return alpha
    main = stats[1:, cv2.CC_STAT_AREA].argmax() + 1
    keep = cv2.dilate((labels == main).astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.asarray(alpha * keep, np.float32)


def _grown(mask: ByteArray, by: int) -> ByteArray:
    """Dilated, or eroded where `by` is negative; the picture's border is no edge."""
    pad = abs(by) + 1
    wide = cv2.copyMakeBorder(mask, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    change = cv2.dilate if by > 0 else cv2.erode
    return np.asarray(change(wide, _disc(abs(by)))[pad:-pad, pad:-pad])


def _disc(radius: int) -> ByteArray:
    size = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))


def _box(values: npt.NDArray[Any], radius: int) -> FloatArray:
    """The mean over windows [H, W] or [H, W, 3]."""
    size = (2 * radius + 1, 2 * radius + 1)
    return np.asarray(cv2.blur(values, size, borderType=cv2.BORDER_REFLECT), np.float32)


def _resized(picture: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    method = cv2.INTER_AREA if len(picture) > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (size, size), interpolation=method))


def _bytes(values: npt.NDArray[Any]) -> ByteArray:
    return np.asarray(np.round(np.clip(values, 0, 1) * 255), np.uint8)
