"""Eyes: balls without lashes, lids of skin, irises that move as a whole."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import Portrait, load_engine
from sonic_stream.engines.lite.draw_eye import ACROSS
from sonic_stream.engines.lite.eye_frame import POINTS
from sonic_stream.engines.lite.eyes import Eye
from sonic_stream.engines.lite.identity import Latents, restore
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.engines.lite.palette import LUMA
from sonic_stream.engines.lite.render import Renderer
from sonic_stream.media import ByteArray

SIZE = 512
SIDES = ("right", "left")


@pytest.fixture(scope="module", params=["mira", "nia", "theo"])
def avatar(request: pytest.FixtureRequest) -> Portrait:
    return load_avatar(request.param)


def made(portrait: Portrait) -> Latents:
    return restore(load_engine("lite", size_px=SIZE).prepare(portrait))


@pytest.fixture(scope="module")
def latents(avatar: Portrait) -> Latents:
    return made(avatar)


def seen(picture: ByteArray, eye: Eye, x: np.ndarray, height: np.ndarray, scale: int) -> np.ndarray:
    """Colours of a picture of the patch, `scale` pixels a pixel, at eye-frame positions."""
    at = eye.corner + eye.width * (x[:, None] * eye.axis_x + height[:, None] * eye.axis_y)
    columns, rows = np.round((at - [eye.patch.x0, eye.patch.y0]) * scale).astype(int).T
    return np.asarray(picture[rows, columns].astype(float))


@pytest.mark.parametrize("side", SIDES)
def test_the_ball_goes_on_under_the_lids_without_lashes(latents: Latents, side: str) -> None:
    eye, k = latents.eyes[side], latents.enlarged
    patch = eye.patch
    own = latents.source[
        k * patch.y0 : k * (patch.y0 + patch.height), k * patch.x0 : k * (patch.x0 + patch.width)
    ]
    along = np.linspace(0, 1, POINTS)
    white = (np.abs(along - eye.iris_x) > 1.1 * eye.iris_radius) & (np.abs(along - 0.5) < 0.4)
    x, upper, lower = along[white], eye.upper[white], eye.lower[white]
    inside = np.median(seen(eye.ball, eye, x, 0.5 * (upper + lower), k) @ LUMA)
    above = upper[None] - np.linspace(0, 0.10, 9)[:, None]
    lashes = np.array([seen(own, eye, x, row, k) @ LUMA for row in above]).min(0)
    under = np.array([seen(eye.ball, eye, x, row, k) @ LUMA for row in above]).min(0)
    assert np.median(lashes) < 0.55 * inside, "there are lashes to be dragged"
    assert np.median(under) > 0.65 * inside


@pytest.mark.parametrize("side", SIDES)
def test_a_closed_lid_is_skin_all_over(latents: Latents, side: str) -> None:
    eye, k = latents.eyes[side], latents.enlarged
    along = np.linspace(0.15, 0.85, 15)
    upper, lower = (np.interp(along, np.linspace(0, 1, POINTS), y) for y in (eye.upper, eye.lower))
    lid = np.stack(
        [seen(eye.lid, eye, along, upper * (1 - s) + lower * s, k) for s in (0.1, 0.5, 0.9)]
    )
    assert lid[..., 3].min() > 250
    skin = np.median(seen(eye.lid, eye, along, lower + 0.12, k)[:, :3], 0)
    away = np.abs(lid[..., :3] - skin).max(-1)
    assert np.median(away) < 40
    step = np.abs(np.diff(lid[..., :3] @ LUMA, axis=1)).max()
    assert step < 14, "no edge in it"


@pytest.mark.parametrize("gaze_x", [-0.6, 0.6])
def test_the_iris_moves_as_a_whole(latents: Latents, gaze_x: float) -> None:
    renderer = Renderer(latents)
    rest, moved = (renderer.render(Motion(gaze_x=x)).astype(float) for x in (0.0, gaze_x))
    for eye in latents.eyes.values():
        far = ACROSS * gaze_x * eye.width * eye.axis_x
        onto = np.hstack([np.eye(2), far[:, None]]).astype(np.float32)
        expected = cv2.warpAffine(rest, onto, (SIZE, SIZE), flags=cv2.INTER_CUBIC)
        middle = np.interp(eye.iris_x, np.linspace(0, 1, POINTS), 0.5 * (eye.upper + eye.lower))
        centre = eye.corner + eye.width * (eye.iris_x * eye.axis_x + middle * eye.axis_y) + far
        rows, columns = np.mgrid[:SIZE, :SIZE]
        radius = 0.45 * float((eye.lower - eye.upper).max()) * eye.width
        iris = np.hypot(columns - centre[0], rows - centre[1]) < radius
        still = np.abs(moved - rest)[iris].mean()
        assert still > 25
        assert np.abs(moved - expected)[iris].mean() < 0.4 * still


def test_drawn_eyes_larger_than_the_mesh_are_found_and_covered(avatar: Portrait) -> None:
    points = avatar.landmarks[:, :2]
    picture = np.ascontiguousarray(avatar.rgba[..., :3])
    for outer, inner, iris in ((33, 133, 468), (263, 362, 473)):
        width = float(np.linalg.norm(points[outer] - points[inner]))
        at = tuple(int(v) for v in (points[outer] + points[inner]) / 2)
        cv2.ellipse(picture, at, (int(0.5 * width), int(0.32 * width)), 0, 0, 360, (240,) * 3, -1)
        centre = tuple(int(v) for v in points[iris])
        cv2.circle(picture, centre, int(0.3 * width), (60, 110, 190), -1)
    drawn = made(Portrait(np.dstack([picture, avatar.rgba[..., 3]]), avatar.landmarks, "drawn"))
    for side, eye in made(avatar).eyes.items():
        larger = drawn.eyes[side]
        assert eye.overshoot.max() < 0.05 < larger.overshoot.max()
        assert eye.margin.min() > 0 > larger.margin[1].min()
