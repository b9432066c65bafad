"""Packaged avatars to pictures of given motions."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import load_engine
from sonic_stream.engines.lite.background import Scene
from sonic_stream.engines.lite.identity import restore
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.media import ByteArray


@dataclass(frozen=True)
class Sitter:
    """An avatar ready to be drawn; `face` x0, y0 and side of the square around its face."""

    scene: Scene
    face: tuple[int, int, int]

    def face_of(self, motion: Motion, side_px: int) -> ByteArray:
        """The face alone, uint8 [side, side, 3]."""
        x0, y0, side = self.face
        picture, _ = self.scene.render(motion)
        face = picture[y0 : y0 + side, x0 : x0 + side]
        return np.asarray(cv2.resize(face, (side_px, side_px), interpolation=cv2.INTER_AREA))


def sitter(avatar: str, size_px: int, margin: float) -> Sitter:
    """`margin`: air around brows and chin, as a share of their distance."""
    portrait = load_avatar(avatar)
    engine = load_engine("lite", size_px=size_px)
    points = portrait.landmarks[:, :2] * (size_px / portrait.rgba.shape[0])
    top, chin = points[[70, 105, 334, 300], 1].min(), points[152, 1]
    side = int((1 + 2 * margin) * (chin - top))
    x0 = int(points[[234, 454], 0].mean() - side / 2)
    y0 = int((top + chin) / 2 - side / 2)
    scene = Scene(restore(engine.prepare(portrait)), "keep", alpha=False)
    return Sitter(scene, (x0, y0, side))
