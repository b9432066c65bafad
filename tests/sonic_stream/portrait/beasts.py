"""Drawn animals for tests: fur of single hairs, a muzzle, a black nose. The face finder takes
them for people."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

Colour = tuple[int, int, int]
SIDE = 640


@dataclass
class Beast:
    """A dog's head, or a cat's with `pointed` ears; `nose` its pad's width, `eyes` their distance
    from the middle, in picture sides."""

    coat: Colour = (176, 128, 78)
    muzzle: Colour = (226, 200, 166)
    nose: float = 0.085
    eyes: float = 0.155
    pointed: bool = False
    seed: int = 0
    picture: np.ndarray = field(init=False)

    def draw(self) -> np.ndarray:
        """uint8 [640, 640, 4]."""
        self.picture = np.full((SIDE, SIDE, 3), (120, 140, 150), np.uint8)
        dark = tuple(int(0.6 * c) for c in self.coat)
        for side in (-1, 1):
            if self.pointed:
                ear = np.array([[0.12, -0.36], [0.31, -0.16], [0.30, -0.52]]) * [side, 1]
                points = np.round((ear + 0.5) * SIDE).astype(np.int32)
                cv2.fillPoly(self.picture, [points], self.coat)
            else:
                self._furry(0.32 * side, -0.02, 0.09, 0.25, dark, 2500)
        self._spot(0, 0.45, 0.26, 0.2, self.coat)
        self._furry(0, 0, 0.33, 0.40, self.coat, 16000)
        self._furry(0, 0.26, 0.19, 0.20, self.muzzle, 6000)
        for side in (-1, 1):
            x = side * self.eyes
            self._spot(x, -0.06, 0.065, 0.054, (45, 32, 26))
            self._spot(x, -0.06, 0.043, 0.042, (150, 160, 70) if self.pointed else (92, 58, 30))
            self._spot(x, -0.06, 0.024, 0.024, (12, 10, 10))
            self._spot(x - 0.01, -0.073, 0.009, 0.009, (245, 245, 245))
            self._spot(x, -0.145, 0.056, 0.012, dark)
            at = (int((0.5 + 0.07 * side) * SIDE), int(0.81 * SIDE))
            cv2.ellipse(self.picture, at, (45, 29), 0, 0, 180, (40, 26, 24), 3, cv2.LINE_AA)
        self._spot(0, 0.19, self.nose, 0.68 * self.nose, (26, 22, 24))
        cv2.line(self.picture, (320, 440), (320, 518), (40, 26, 24), 3, cv2.LINE_AA)
        return np.dstack([self.picture, np.full((SIDE, SIDE), 255, np.uint8)])

    def _spot(self, x: float, y: float, across: float, down: float, colour: Colour) -> None:
        at = (int((0.5 + x) * SIDE), int((0.5 + y) * SIDE))
        axes = (int(across * SIDE), int(down * SIDE))
        cv2.ellipse(self.picture, at, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    def _furry(
        self, x: float, y: float, across: float, down: float, colour: Colour, hairs: int
    ) -> None:
        """An ellipse whose hairs point away from the face's middle."""
        self._spot(x, y, across, down, colour)
        rng = np.random.default_rng(self.seed)
        angle, radius = rng.uniform(0, 2 * np.pi, hairs), np.sqrt(rng.random(hairs))
        roots = np.stack(
            [x + radius * across * np.cos(angle), y + radius * down * np.sin(angle)], 1
        )
        lie = np.arctan2(roots[:, 1], roots[:, 0]) + rng.normal(0, 0.35, hairs)
        tips = roots + 0.025 * rng.uniform(0.5, 1.3, (hairs, 1)) * np.stack(
            [np.cos(lie), np.sin(lie)], 1
        )
        shades = np.clip(colour + rng.normal(0, 18, (hairs, 3)), 0, 255).astype(int)
        ends = np.round((np.stack([roots, tips], 1) + 0.5) * SIDE).astype(int)
        for (root, tip), shade in zip(ends.tolist(), shades.tolist(), strict=True):
            cv2.line(self.picture, root, tip, shade, 1, cv2.LINE_AA)
