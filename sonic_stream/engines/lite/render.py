"""The renderer: an identity and a `Motion` to one picture, RGB or RGBA."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from sonic_stream.engines.lite.draw_eye import draw_eye
from sonic_stream.engines.lite.draw_mouth import MouthPainter
from sonic_stream.engines.lite.fields import MOUTH_COUNT
from sonic_stream.engines.lite.identity import Latents
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.engines.lite.pose import pose_of
from sonic_stream.engines.lite.warp import Warper, Window, bands_of, open_windows
from sonic_stream.media import ByteArray, FloatArray


def eyes_move(latents: Latents, motion: Motion) -> bool:
    looks = abs(motion.gaze_x) + abs(motion.gaze_y) + abs(motion.lids)
    return latents.can_blink and (looks > 1e-3 or motion.blink > 0.01)


def mouth_moves(latents: Latents, motion: Motion) -> bool:
    return latents.can_speak and float(np.abs(motion.coefficients[:MOUTH_COUNT]).max()) > 1e-3


class Renderer:
    """Stateless between pictures: the same motion gives the same pixels.

    `cutout` [K S, K S, 4]: what is drawn in place of the portrait, with its coverage. `rims`:
    windows where it may cover a part, `empty`: where it covers nothing, however it moves."""

    def __init__(self, latents: Latents, cutout: ByteArray | None = None) -> None:
        self._bands: list[Window] = []
        self.rims: list[Window] = []
        self.empty: list[Window] = []
        if cutout is not None:
            # Lips and lids too: beside the jaw their patches show what is behind. What the
            # cut-out was made of is needed no more.
            none = np.zeros((0, 0, 3), np.uint8)
            latents = replace(
                latents, source=cutout, matte=none[..., 0], foreground=none, plate=none
            )
        self._latents = latents
        self._warper = Warper(latents)
        if cutout is not None:
            factor = latents.enlarged
            seen, open_ = self._warper.reached(cutout[::factor, ::factor, 3])
            self._bands, (self.rims, self.empty) = bands_of(seen), open_windows(seen, open_)
        self._mouth = MouthPainter(latents, self._warper)

    def render(self, motion: Motion) -> ByteArray:
        """uint8 [S, S, 3]."""
        return self.draw(motion)[0]

    def draw(self, motion: Motion) -> tuple[ByteArray, ByteArray | None]:
        """The picture [S, S, 3] and, of a cut-out, the person as drawn first [S, S, 4]."""
        latents, warper = self._latents, self._warper
        pose = pose_of(latents, motion)
        shift = warper.backward(latents.whole, "whole", pose)
        picture, person = self._person(shift)
        if eyes_move(latents, motion):
            for eye in latents.eyes.values():
                draw_eye(picture, eye, warper, motion, shift)
        if mouth_moves(latents, motion):
            self._mouth.draw(picture, motion, pose, shift)
        return picture, person

    def _person(self, shift: FloatArray) -> tuple[ByteArray, ByteArray | None]:
        whole = self._latents.whole
        if not self._bands:
            return self._warper.sample(whole, shift), None
        person = self._warper.sample_bands(shift, self._bands)
        return np.asarray(cv2.cvtColor(person, cv2.COLOR_RGBA2RGB)), person
