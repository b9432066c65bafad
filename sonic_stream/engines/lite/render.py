"""The renderer: an identity and a `Motion` to one picture, RGB or RGBA."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from sonic_stream.engines.lite.cover import Cover, Parts
from sonic_stream.engines.lite.draw_eye import draw_eye
from sonic_stream.engines.lite.draw_mouth import MouthPainter
from sonic_stream.engines.lite.fields import MOUTH_COUNT
from sonic_stream.engines.lite.identity import Latents
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.engines.lite.pose import pose_of
from sonic_stream.engines.lite.warp import Warper
from sonic_stream.media import ByteArray


def eyes_move(latents: Latents, motion: Motion) -> bool:
    looks = abs(motion.gaze_x) + abs(motion.gaze_y) + abs(motion.lids)
    return latents.can_blink and (looks > 1e-3 or motion.blink > 0.01)


def mouth_moves(latents: Latents, motion: Motion) -> bool:
    return latents.can_speak and float(np.abs(motion.coefficients[:MOUTH_COUNT]).max()) > 1e-3


@dataclass(frozen=True)
class Person:
    """A cut-out as the head moves it [S, S, 4], its eyes and mouth at rest, and its `parts`."""

    rgba: ByteArray
    parts: Parts


class Renderer:
    """Stateless between pictures: the same motion gives the same pixels.

    `cutout` [K S, K S, 4]: what is drawn in place of the portrait, with its coverage."""

    def __init__(self, latents: Latents, cutout: ByteArray | None = None) -> None:
        self._cover: Cover | None = None
        if cutout is not None:
            # Lips and lids too: beside the jaw their patches show what is behind. What the
            # cut-out was made of is needed no more.
            none = np.zeros((0, 0, 3), np.uint8)
            latents = replace(
                latents, source=cutout, matte=none[..., 0], foreground=none, plate=none
            )
            factor = latents.enlarged
            self._cover = Cover(cutout[::factor, ::factor, 3], latents.whole.cell)
        self._warper = Warper(latents)
        self._latents = self._warper.latents
        self._mouth = MouthPainter(self._latents, self._warper)

    def render(self, motion: Motion) -> ByteArray:
        """uint8 [S, S, 3]."""
        return self.draw(motion)[0]

    def draw(self, motion: Motion) -> tuple[ByteArray, Person | None]:
        """The picture [S, S, 3] and, of a cut-out, what it was drawn on."""
        latents, warper = self._latents, self._warper
        pose = pose_of(latents, motion)
        shift = warper.backward(latents.whole, "whole", pose)
        if self._cover is None:
            picture, person = warper.sample(latents.whole, shift), None
        else:
            parts = self._cover.parts(warper.origins(latents.whole, shift))
            person = Person(warper.sample_parts(shift, parts.seen), parts)
            picture = np.asarray(cv2.cvtColor(person.rgba, cv2.COLOR_RGBA2RGB))
        if eyes_move(latents, motion):
            for eye in latents.eyes.values():
                draw_eye(picture, eye, warper, motion, shift)
        if mouth_moves(latents, motion):
            self._mouth.draw(picture, motion, pose, shift)
        return picture, person
