"""Eyes: balls without lashes, lids of skin, irises that move as a whole."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import Portrait, load_engine
from sonic_stream.engines.lite.draw_eye import ACROSS, DOWN, look_of
from sonic_stream.engines.lite.eye_frame import POINTS
from sonic_stream.engines.lite.eyes import Eye
from sonic_stream.engines.lite.fields import INDEX
from sonic_stream.engines.lite.identity import Latents, restore
from sonic_stream.engines.lite.motion import Motion, no_coefficients
from sonic_stream.engines.lite.palette import LUMA
from sonic_stream.engines.lite.render import Renderer
from sonic_stream.media import ByteArray
from tests.sonic_stream.portrait.drawings import (
    FLAT,
    FRINGE,
    Style,
    Truth,
    draw_eyes,
    fitted,
    skin_of,
)

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


def test_upper_lids_follow_the_gaze(latents: Latents) -> None:
    renderer = Renderer(latents)
    for eye in latents.eyes.values():
        x = np.full(121, 0.5)
        upper = float(eye.upper[POINTS // 2])
        down = np.linspace(-0.15, 0.15, 121) + upper
        at = eye.corner + eye.width * (x[:, None] * eye.axis_x + down[:, None] * eye.axis_y)
        columns, rows = np.round(4 * at + 1.5).astype(int).T
        up, rest, low = (
            cv2.resize(renderer.render(Motion(gaze_y=y)), None, fx=4, fy=4)[rows, columns] @ LUMA
            for y in (-1.0, 0.0, 1.0)
        )
        lash = slice(40, 62)  # from a little above the opening
        moved = [
            min(range(-25, 26), key=lambda by: np.abs(now[40 + by : 62 + by] - rest[lash]).mean())
            for now in (up, low)
        ]
        assert -0.6 * DOWN < moved[0] * 0.0025 < 0.0
        assert 0.4 * DOWN < moved[1] * 0.0025 < 0.9 * DOWN


def test_lids_keep_still_for_little_gaze_and_behind_glasses(avatar: Portrait) -> None:
    eye = made(avatar).eyes["left"]
    assert not look_of(eye, Motion(gaze_x=1.0, gaze_y=0.02)).sets_lids
    low, high = (look_of(eye, Motion(gaze_y=y)).upper for y in (0.4, -0.4))
    assert low < 0 < high < -low
    worn = made(replace(avatar, glasses=True)).eyes["left"]
    assert not look_of(worn, Motion(gaze_y=1.0, lids=-1.0)).sets_lids


@pytest.fixture(scope="module")
def drawn() -> tuple[Latents, dict[str, Truth], tuple[int, int, int]]:
    mira = load_avatar("mira")
    portrait, truth = draw_eyes(mira, Style())
    return made(fitted(portrait)), truth, skin_of(mira)


Drawn = tuple[Latents, dict[str, Truth], tuple[int, int, int]]


def seen_at(picture: ByteArray, eye: Truth, x: float, y: float) -> np.ndarray:
    row, column = eye.at(x, y)
    return np.asarray(picture[row * SIZE // 1024, column * SIZE // 1024].astype(float))


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_drawn_iris_leaves_nothing_behind(drawn: Drawn, sign: int) -> None:
    latents, truth, _ = drawn
    far = Renderer(latents).render(Motion(gaze_x=1.0 * sign))
    for side, eye in truth.items():
        moved = ACROSS * latents.eyes[side].width * 1024 / SIZE / eye.unit
        wide, high = eye.style.iris
        for share in (-0.5, 0.0, 0.5):
            behind = -sign * (wide * np.sqrt(1 - share**2) - 0.4 * moved)
            assert seen_at(far, eye, behind, share * high).min() > 200
        pupil = seen_at(far, eye, sign * moved, 0.0)
        assert pupil.max() < 70
        ahead = seen_at(far, eye, sign * (wide + 0.5 * moved), 0.0)
        assert ahead.min() < 140, "the iris is whole"


def test_a_drawn_eye_closes_in_one_line(drawn: Drawn) -> None:
    latents, truth, skin = drawn
    shut = Renderer(latents).render(Motion(blink=1.0))
    for eye in truth.values():
        wide, high = eye.style.width, eye.style.height
        line = []
        for x in np.linspace(-0.3, 0.3, 7) * wide:
            column = [seen_at(shut, eye, x, y) for y in np.linspace(-0.75, 0.6, 82) * high]
            dark = np.array(column) @ LUMA
            line.append(np.linspace(-0.75, 0.6, 82)[dark.argmin()])
            assert dark.min() < 0.45 * (skin @ LUMA)
            away = np.abs(np.array(column) - skin).max(-1)
            assert np.mean(away > 70) < 0.25, "all but the line is skin"
        assert min(line) > 0 and max(line) < 0.4, "between the lower lid and the corners"
        assert line[3] > np.mean([line[0], line[-1]]), "the line hangs"


def test_the_line_of_a_flat_drawings_lid_comes_down() -> None:
    mira = load_avatar("mira")
    portrait, truth = draw_eyes(mira, FLAT)
    renderer, skin = Renderer(made(fitted(portrait))), skin_of(mira)
    heights = np.linspace(-0.7, 0.5, 73) * FLAT.height
    shown = [renderer.render(Motion(blink=blink)) for blink in (0.0, 0.5, 1.0)]
    assert np.array_equal(shown[0], renderer.render(Motion(gaze_x=1.0, gaze_y=1.0, lids=1.0)))
    for eye in truth.values():
        lines = []
        for x in (-0.2, 0.0, 0.2):
            columns = [np.array([seen_at(p, eye, x, y) for y in heights]) for p in shown]
            away = [np.abs(column - skin).max(-1) > 60 for column in columns]
            lines.append([heights[flags.argmax()] for flags in away])
            assert away[2].mean() < 0.25, "all but the line is skin"
            open_ = (heights > -0.05 * FLAT.height) & (heights < 0.15 * FLAT.height)
            assert np.abs(columns[1] - columns[0])[open_].mean() < 12, "the rest is there"
        rest, half, shut = np.mean(lines, 0)
        assert rest < half - 0.15 < shut - 0.3
        assert np.ptp([line[2] for line in lines]) < 0.1


def test_a_fringe_stays_over_a_closed_eye() -> None:
    hair = (96, 66, 120)
    portrait, truth = draw_eyes(load_avatar("mira"), Style(height=1.05, fringe=hair))
    shut = Renderer(made(fitted(portrait))).render(Motion(blink=1.0))
    for eye in truth.values():
        for x in np.linspace(-0.4, 0.4, 9):
            edge = FRINGE * eye.style.height
            assert np.abs(seen_at(shut, eye, x, edge - 0.06) - hair).max() < 25
            assert np.abs(seen_at(shut, eye, x, edge + 0.12) - hair).max() > 60


def test_brows_do_not_stretch_a_drawn_eye(drawn: Drawn) -> None:
    latents, truth, _ = drawn
    raised = no_coefficients()
    raised[INDEX["brow_up"]] = 1.0
    renderer = Renderer(latents)
    rest, up = (renderer.render(Motion(c)).astype(float) for c in (no_coefficients(), raised))
    for eye in truth.values():
        top, left = eye.at(-0.5 * eye.style.width, -0.5 * eye.style.height)
        bottom, right = eye.at(0.5 * eye.style.width, 0.5 * eye.style.height)
        part = np.s_[top // 2 : bottom // 2, left // 2 : right // 2]
        assert np.abs(up - rest)[part].mean() < 4
