"""The renderer: an identity and a `Motion` to one RGB picture."""

from __future__ import annotations

import numpy as np

from sonic_stream.engines.lite.draw_eye import draw_eye
from sonic_stream.engines.lite.draw_mouth import MouthPainter
from sonic_stream.engines.lite.fields import MOUTH_COUNT
from sonic_stream.engines.lite.identity import Latents
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.engines.lite.warp import Warper, pose_of
from sonic_stream.media import ByteArray


class Renderer:
    """Stateless between pictures: the same motion gives the same pixels."""

    def __init__(self, latents: Latents) -> None:
        self._latents = latents
        self._warper = Warper(latents)
        self._mouth = MouthPainter(latents, self._warper)

    def render(self, motion: Motion) -> ByteArray:
        """uint8 [S, S, 3]."""
        latents, warper = self._latents, self._warper
        pose = pose_of(motion, latents.size_px)
        picture = warper.sample(
            latents.whole, warper.backward(latents.whole, "whole", motion, pose)
        )
        looks = abs(motion.gaze_x) + abs(motion.gaze_y) + abs(motion.lids)
        if latents.can_blink and (looks > 1e-3 or motion.blink > 0.01):
            for eye in latents.eyes.values():
                draw_eye(picture, eye, warper, motion, pose)
        if latents.can_speak and np.abs(motion.coefficients[:MOUTH_COUNT]).max() > 1e-3:
            self._mouth.draw(picture, motion, pose)
        return picture
