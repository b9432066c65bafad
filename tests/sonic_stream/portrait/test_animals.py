"""Animals get a refusal with advice; people with grain, beards or black lips do not."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from sonic_stream.avatars import load_avatar
from sonic_stream.portrait import load_portrait
from sonic_stream.portrait.animals import LOWER_LIP, UPPER_LIP, is_animal
from sonic_stream.portrait.faces import FaceFinder, find_faces, open_finder
from tests.sonic_stream.portrait.beasts import Beast

BEASTS = {
    "a dog": Beast(),
    "a light dog with a small nose": Beast((225, 205, 180), nose=0.05),
    "a dog with eyes set wide": Beast(eyes=0.19, seed=1),
    "a cat": Beast(pointed=True, seed=2),
    "a light cat with a small nose": Beast((225, 205, 180), nose=0.06, pointed=True, seed=3),
}


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return open_finder()


@pytest.mark.parametrize("beast", BEASTS)
def test_animals_that_look_like_people_to_the_finder_are_refused(
    beast: str, finder: FaceFinder
) -> None:
    rgba = BEASTS[beast].draw()
    assert find_faces(finder, np.ascontiguousarray(rgba[..., :3])), "nothing to be told apart"
    data = io.BytesIO()
    Image.fromarray(rgba).save(data, "PNG")
    portrait, report = load_portrait(data.getvalue(), finder)
    assert portrait is None
    (refused,) = [reason for reason in report.reasons if reason.severity == "refused"]
    assert refused.code == "not_human"
    assert "animals cannot" in refused.advice


@pytest.mark.parametrize("avatar", ["mira", "nia", "theo"])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("noise", [0, 15, 40])
def test_people_pass_however_grainy(avatar: str, grey: bool, noise: float) -> None:
    portrait = load_avatar(avatar)
    grain = np.random.default_rng(0).normal(0, noise, (512, 512, 3)).astype(np.float32)
    size = (portrait.rgba.shape[1], portrait.rgba.shape[0])
    seen = np.clip(portrait.rgba[..., :3] + cv2.resize(grain, size), 0, 255).astype(np.uint8)
    if grey:
        seen = np.repeat(cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    assert not is_animal(np.dstack([seen, portrait.rgba[..., 3]]), portrait.landmarks)


@pytest.mark.parametrize("avatar", ["mira", "nia", "theo"])
def test_black_lips_and_hair_over_the_forehead_are_human(avatar: str) -> None:
    portrait = load_avatar(avatar)
    picture = np.ascontiguousarray(portrait.rgba[..., :3])
    points = np.round(portrait.landmarks[:, :2]).astype(int)
    cv2.fillPoly(picture, [points[UPPER_LIP + LOWER_LIP]], (25, 18, 22))
    rng = np.random.default_rng(0)
    left, right, top, brow = points[127, 0], points[356, 0], points[10, 1], points[105, 1]
    for x in rng.integers(left, right, 1500):
        shade = rng.normal(60, 20, 3).clip(0, 255).tolist()
        cv2.line(picture, (int(x), int(top)), (int(x + rng.normal(0, 8)), int(brow)), shade, 1)
    assert not is_animal(np.dstack([picture, portrait.rgba[..., 3]]), portrait.landmarks)
