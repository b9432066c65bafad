"""Paints the speaking mouth: upper layer over (lower layer over inside)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sonic_stream.engines.lite.fields import MOUTH_COUNT
from sonic_stream.engines.lite.formulas import LipEdges, lips_shadow
from sonic_stream.engines.lite.geometry import eased
from sonic_stream.engines.lite.identity import Latents
from sonic_stream.engines.lite.inside import Inside, Placed, inside_of
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.engines.lite.pose import Pose
from sonic_stream.engines.lite.shading import fold_depths
from sonic_stream.engines.lite.warp import Warper, pixels_of, shown
from sonic_stream.media import ByteArray, FloatArray


@dataclass(frozen=True)
class _Opening:
    """Signed distances [h, w] in pixels: `above` > 0 below the upper lip's edge, `below` < 0
    above the lower lip's edge; and the layers' coverage."""

    above: FloatArray
    below: FloatArray
    upper: FloatArray
    lower: FloatArray

    def window(self, box: tuple[slice, slice]) -> _Opening:
        return _Opening(self.above[box], self.below[box], self.upper[box], self.lower[box])


class MouthPainter:
    def __init__(self, latents: Latents, warper: Warper) -> None:
        self._latents = latents
        self._warper = warper
        width, height = latents.mouth.width, latents.mouth.height
        self._feather = feather(width, height)
        self._shade = np.empty((height, width, 3), np.uint8)
        self._shade[:] = latents.folds.colour

    def draw(self, picture: ByteArray, motion: Motion, pose: Pose, shift: FloatArray) -> None:
        """Over `picture` [S, S, 3], in place, which was sampled under the shift of the whole."""
        patch, warper = self._latents.mouth, self._warper
        around = warper.part_of_whole(patch, shift)
        up, down = (
            warper.joined(patch, warper.backward(patch, layer, pose), around)
            for layer in ("upper", "lower")
        )
        opening = self._opening(up, down)
        # Each layer is made where it shows only.
        upper, lower = (np.zeros((patch.height, patch.width, 3), np.uint8) for _ in range(2))
        for layer, own, cover in ((upper, up, opening.upper), (lower, down, 1 - opening.upper)):
            window = shown(cover.max(1) > 0, cover.max(0) > 0, patch.cell)
            layer[pixels_of(window, patch.cell)] = warper.sample(patch, own[window], window)
        rows, columns = np.where((opening.upper < 0.999) & (opening.lower < 0.999))
        if len(rows):
            box = (
                slice(max(rows.min() - 2, 0), rows.max() + 3),
                slice(max(columns.min() - 2, 0), columns.max() + 3),
            )
            inside = self._inside(box, motion, pose, opening.window(box))
            cover = opening.lower[box]
            lower[box] = cv2.blendLinear(
                np.ascontiguousarray(lower[box]), inside, cover.copy(), 1 - cover
            )
        mouth = cv2.blendLinear(upper, lower, opening.upper, 1 - opening.upper)
        mouth = self._shaded(mouth, motion, up, down)
        alpha = self._feather * np.float32(activity(motion))
        region = picture[patch.y0 : patch.y0 + patch.height, patch.x0 : patch.x0 + patch.width]
        region[:] = cv2.blendLinear(mouth, np.ascontiguousarray(region), alpha, 1 - alpha)

    def _shaded(
        self, mouth: ByteArray, motion: Motion, up: FloatArray, down: FloatArray
    ) -> ByteArray:
        """Darkened where skin folds."""
        patch, folds = self._latents.mouth, self._latents.folds
        cheeks, chin = fold_depths(motion.coefficients)
        if not (cheeks or chin):
            return mouth
        shadow = np.zeros_like(folds.cheeks)
        for depth, fold, shift in ((cheeks, folds.cheeks, up), (chin, folds.chin, down)):
            if depth:
                shadow += np.float32(depth) * self._warper.carried(fold, shift, patch)
        dark = cv2.resize(shadow, (patch.width, patch.height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.blendLinear(mouth, self._shade, 1 - dark, dark))

    def _opening(self, up: FloatArray, down: FloatArray) -> _Opening:
        latents, patch, warper = self._latents, self._latents.mouth, self._warper
        v_upper = warper.carried(patch.v_upper, up, patch)
        v_lower = warper.carried(patch.v_lower, down, patch)
        across = np.abs(warper.carried(patch.u, 0.5 * (up + down), patch))
        nodes = cv2.merge([*cv2.split(self._distance(cv2.merge([v_upper, v_lower]))), across])
        full = cv2.resize(nodes, (patch.width, patch.height), interpolation=cv2.INTER_LINEAR)
        above, below, along = cv2.split(full)
        scale = latents.size_px / 512
        opened = min(max(float(np.minimum(above, -below).max()) / (3.0 * scale), 0.0), 1.0)
        edges = LipEdges(scale, LipEdges.softness(scale, latents.interior.soft_px), opened)
        upper = edges.upper(above)
        lower = cv2.blur(edges.lower(below, along), (3, 3))  # steep sides stay smooth
        return _Opening(above, below, upper.astype(np.float32), lower.astype(np.float32))

    def _distance(self, offset: FloatArray) -> FloatArray:
        """Vertical offsets from lips' edges as true distances in pixels (for smooth edges)."""
        scale = 1 / (8 * self._latents.mouth.cell)
        gx = cv2.Sobel(offset, cv2.CV_32F, 1, 0, ksize=3, scale=scale)
        gy = cv2.Sobel(offset, cv2.CV_32F, 0, 1, ksize=3, scale=scale)
        steepest = 0.5 / self._latents.half_width
        return np.asarray(offset / np.maximum(np.sqrt(gx * gx + gy * gy), steepest))

    def _inside(
        self, box: tuple[slice, slice], motion: Motion, pose: Pose, opening: _Opening
    ) -> ByteArray:
        """Cavity, tongue and teeth within `box` of the mouth's patch, shaded by the lips."""
        latents, patch = self._latents, self._latents.mouth
        plan = inside_of(latents, motion, pose)
        layers = _Stack(
            latents,
            opening.upper.shape,
            np.array([patch.x0 + box[1].start, patch.y0 + box[0].start], np.float32),
        )
        for sprite in plan.behind:
            layers.put(sprite)
        layers.shade(opening, plan)
        for sprite in plan.before:
            layers.put(sprite)
        return np.asarray(cv2.cvtColor(layers.canvas, cv2.COLOR_RGBA2RGB))


class _Stack:
    """Sprites composited on a canvas [h, w, 4], whose last channel says nothing and whose corner
    lies at `corner` in the picture."""

    def __init__(self, latents: Latents, shape: tuple[int, ...], corner: FloatArray) -> None:
        self._latents = latents
        self._corner = corner
        self.canvas: ByteArray = np.zeros((*shape, 4), np.uint8)
        depth = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None, None]
        cavity = latents.interior.cavity * (0.75 + 0.75 * depth)
        self.canvas[..., :3] = np.minimum(cavity + 0.5, 255)

    def put(self, sprite: Placed) -> None:
        placed = sprite.affine.copy()
        placed[:, 2] += sprite.shift - self._corner
        picture: ByteArray = getattr(self._latents.interior, sprite.part)
        height, width = self.canvas.shape[:2]
        drawn = cv2.warpAffine(picture, placed, (width, height), flags=cv2.INTER_LINEAR)
        alpha = cv2.extractChannel(drawn, 3) * np.float32(sprite.amount / 255)
        self.canvas = np.asarray(cv2.blendLinear(drawn, self.canvas, alpha, 1 - alpha))

    def shade(self, opening: _Opening, plan: Inside) -> None:
        half = self._latents.half_width
        light = lips_shadow(opening.above, opening.below, plan.depth, half, np)
        shaded = self.canvas[..., :3] * (np.power(light[..., None], plan.tint) * plan.light)
        self.canvas[..., :3] = np.minimum(shaded + np.float32(0.5), 255)


def activity(motion: Motion) -> float:
    """The mouth is faded in with it, so that rest is the untouched portrait without a pop."""
    return eased(5.0 * float(np.abs(motion.coefficients[:MOUTH_COUNT]).sum()), 0, 1)


def feather(width: int, height: int) -> FloatArray:
    """1 inside, 0 at the patch's border: a safety net, the fields agree there."""
    edge = max(6, width // 20)

    def ramp(count: int) -> FloatArray:
        index = np.arange(count, dtype=np.float32)
        return np.clip(np.minimum(index, count - 1 - index) / edge, 0, 1)

    return ramp(height)[:, None] * ramp(width)[None]
