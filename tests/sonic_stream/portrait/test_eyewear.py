"""Glasses are seen where there are some, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import Portrait
from sonic_stream.portrait.eyewear import has_glasses

EYES = ((33, 133), (263, 362))


def with_glasses(portrait: Portrait, thickness_px: int, colour: tuple[int, int, int]) -> np.ndarray:
    rgba = portrait.rgba.copy()
    picture = np.ascontiguousarray(rgba[..., :3])
    points = portrait.landmarks[:, :2]
    for outer, inner in EYES:
        centre = (points[outer] + points[inner]) / 2
        width = np.linalg.norm(points[outer] - points[inner])
        at = (int(centre[0]), int(centre[1] + 0.1 * width))
        axes = (int(0.75 * width), int(0.6 * width))
        cv2.ellipse(picture, at, axes, 0, 0, 360, colour, thickness_px, cv2.LINE_AA)
    rgba[..., :3] = picture
    return rgba


@pytest.mark.parametrize("avatar", ["mira", "nia", "theo"])
def test_frames_are_seen_and_bare_faces_are_not(avatar: str) -> None:
    portrait = load_avatar(avatar)
    assert not has_glasses(portrait.rgba, portrait.landmarks)
    for thickness_px, colour in ((6, (25, 25, 30)), (14, (90, 40, 20))):
        worn = with_glasses(portrait, thickness_px, colour)
        assert has_glasses(worn, portrait.landmarks)


def test_the_size_of_the_picture_does_not_matter() -> None:
    portrait = load_avatar("mira")
    worn = cv2.resize(
        with_glasses(portrait, 10, (25, 25, 30)), (400, 400), interpolation=cv2.INTER_AREA
    )
    assert has_glasses(np.asarray(worn), portrait.landmarks * np.float32(400 / 1024))
