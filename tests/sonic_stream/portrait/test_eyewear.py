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


def with_wire(portrait: Portrait, colour: tuple[int, int, int], *, bridge: bool) -> np.ndarray:
    rgba = with_glasses(portrait, 3, colour)
    picture = np.ascontiguousarray(rgba[..., :3])
    points = portrait.landmarks[:, :2]
    right, left = points[133], points[362]
    at = (int((right[0] + left[0]) / 2), int((right[1] + left[1]) / 2))
    half = int(0.36 * np.linalg.norm(left - right))
    if bridge:
        cv2.ellipse(picture, at, (half, half // 2), 0, 180, 360, colour, 4, cv2.LINE_AA)
    rgba[..., :3] = picture
    return rgba


@pytest.mark.parametrize("avatar", ["mira", "nia", "theo"])
@pytest.mark.parametrize("colour", [(60, 60, 66), (100, 64, 30)])
def test_wire_is_traced_over_the_nose(avatar: str, colour: tuple[int, int, int]) -> None:
    portrait = load_avatar(avatar)
    worn = with_wire(portrait, colour, bridge=True)
    assert has_glasses(worn, portrait.landmarks)


@pytest.mark.parametrize("avatar", ["mira", "nia", "theo"])
def test_strands_of_hair_over_the_nose_are_no_wire(avatar: str) -> None:
    portrait = load_avatar(avatar)
    rgba = portrait.rgba.copy()
    picture = np.ascontiguousarray(rgba[..., :3])
    x, y = (int(v) for v in portrait.landmarks[168, :2])
    for shift in (-30, 0, 26):
        cv2.line(picture, (x + shift, y - 200), (x + shift + 40, y + 30), (40, 30, 20), 3)
    rgba[..., :3] = picture
    assert not has_glasses(rgba, portrait.landmarks)


def test_the_size_of_the_picture_does_not_matter() -> None:
    portrait = load_avatar("mira")
    worn = cv2.resize(
        with_glasses(portrait, 10, (25, 25, 30)), (400, 400), interpolation=cv2.INTER_AREA
    )
    assert has_glasses(np.asarray(worn), portrait.landmarks * np.float32(400 / 1024))
