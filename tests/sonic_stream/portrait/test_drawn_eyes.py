"""Drawn eyes are found in the picture; people's are left to the face mesh."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from sonic_stream.avatars import ORDER, load_avatar
from sonic_stream.portrait import load_portrait, open_finder
from sonic_stream.portrait.drawn_eyes import EYES, fit_eyes
from tests.sonic_stream.portrait.drawings import FLAT, FRINGE, Style, draw_eyes, fitted

STYLES = {
    "large": Style(),
    "round": Style(width=1.2, height=1.15, iris=(0.22, 0.22), lash=0.04, colour=(70, 70, 70)),
    "narrow": Style(width=1.3, height=0.7, iris=(0.25, 0.30), colour=(80, 190, 110)),
    "aside": Style(aside=(0.22, 0.03), colour=(230, 170, 60)),
    "in shadow": Style(white=(205, 200, 205), colour=(150, 90, 200)),
}


@pytest.mark.parametrize("avatar", ["mira", "theo"])
@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_outline_and_iris_are_those_of_the_drawing(avatar: str, style: Style) -> None:
    mesh = load_avatar(avatar)
    drawn, truth = draw_eyes(mesh, style)
    portrait = fitted(drawn)
    found = portrait.landmarks
    assert portrait.eyes == "drawn"
    for side, (upper, lower, iris) in EYES.items():
        eye = truth[side]
        points = (found[:, :2] - eye.middle) / eye.unit
        for lid in (points[upper], points[lower]):
            on = np.hypot(2 * lid[:, 0] / style.width, 2 * lid[:, 1] / style.height)
            assert np.abs(on - 1).max() < 0.10
        assert points[upper, 1].min() < -0.4 * style.height
        assert points[lower, 1].max() > 0.4 * style.height
        assert np.ptp(points[upper, 0]) == pytest.approx(style.width, abs=0.06)
        assert points[iris[0]] == pytest.approx(style.aside, abs=0.06)
        radius = np.linalg.norm(points[iris[1:]] - points[iris[0]], axis=1).mean()
        assert radius == pytest.approx(np.mean(style.iris), abs=0.06)
    moved = [index for eye in EYES.values() for part in eye for index in part]
    others = np.setdiff1d(np.arange(478), moved)
    assert np.array_equal(found[others], mesh.landmarks[others])
    assert np.array_equal(found[:, 2], mesh.landmarks[:, 2])


@pytest.mark.parametrize("avatar", ORDER)
def test_eyes_that_the_mesh_fits_are_left_to_it(avatar: str) -> None:
    portrait = load_avatar(avatar)
    landmarks, eyes = fit_eyes(portrait.rgba, portrait.landmarks)
    assert eyes == "mesh" and landmarks is portrait.landmarks


@pytest.mark.parametrize("hair", [(96, 66, 120), (226, 190, 96), (36, 28, 32)])
def test_eyes_under_a_fringe_end_at_it(hair: tuple[int, int, int]) -> None:
    style = Style(height=1.05, iris=(0.36, 0.42), fringe=hair)
    drawn, truth = draw_eyes(load_avatar("mira"), style)
    found = fitted(drawn).landmarks
    for side, (upper, lower, _) in EYES.items():
        points = (found[:, :2] - truth[side].middle) / truth[side].unit
        assert points[upper, 1].min() == pytest.approx(FRINGE * style.height, abs=0.08)
        assert points[lower, 1].max() == pytest.approx(0.5 * style.height, abs=0.05)


@pytest.mark.parametrize("avatar", ["mira", "theo"])
@pytest.mark.parametrize(
    "style",
    [FLAT, Style(white=(60, 40, 30)), Style(iris=(0.62, 0.47)), replace(FLAT, height=1.2)],
    ids=["flat", "no white", "white hidden", "tall"],
)
def test_of_what_has_no_outline_the_lids_are_found(avatar: str, style: Style) -> None:
    drawn, truth = draw_eyes(load_avatar(avatar), style)
    portrait = fitted(drawn)
    assert portrait.eyes == "boxed"
    for side, (upper, lower, _) in EYES.items():
        points = (portrait.landmarks[:, :2] - truth[side].middle) / truth[side].unit
        assert points[upper, 1].min() == pytest.approx(-0.5 * (style.height + style.lash), abs=0.1)
        assert points[lower, 1].max() == pytest.approx(0.5 * style.height, abs=0.1)
        assert np.ptp(points[upper, 0]) == pytest.approx(style.width, abs=0.25)
        assert np.mean(points[upper, 0]) == pytest.approx(0, abs=0.1)


def test_what_is_not_sure_is_not_found() -> None:
    mira = load_avatar("mira")
    one_eye, _ = draw_eyes(mira, Style())
    half = one_eye.rgba.copy()
    half[:, 512:] = mira.rgba[:, 512:]
    landmarks, eyes = fit_eyes(half, mira.landmarks)
    assert eyes == "mesh" and landmarks is mira.landmarks
    pale = Style(white=(150, 190, 250), lash=0.0, outlined=False, iris=(0.01, 0.01))
    blots, _ = draw_eyes(mira, pale)
    landmarks, eyes = fit_eyes(blots.rgba, mira.landmarks)
    assert eyes == "unclear" and landmarks is mira.landmarks


def test_small_pictures_and_faces_at_the_border_do_no_harm() -> None:
    drawn, _ = draw_eyes(load_avatar("mira"), Style())
    away = drawn.landmarks + np.array([700, -400, 0], np.float32)
    flat = np.full_like(drawn.rgba, 128)
    none = np.zeros_like(drawn.landmarks)
    for picture, points in ((drawn.rgba, away), (flat, drawn.landmarks), (drawn.rgba, none)):
        found, _ = fit_eyes(picture, points)
        assert found is points


@pytest.mark.filterwarnings("ignore")  # of the face finder's own libraries
def test_an_upload_with_drawn_eyes_blinks_where_their_outline_is_clear() -> None:
    pytest.importorskip("mediapipe", reason="the extra [portraits] is not installed")
    finder = open_finder()
    for style, eyes in ((Style(), "drawn"), (FLAT, "boxed")):
        drawn, _ = draw_eyes(load_avatar("mira"), style)
        data = BytesIO()
        Image.fromarray(drawn.rgba).save(data, "PNG")
        portrait, report = load_portrait(data.getvalue(), finder)
        assert portrait is not None
        assert portrait.eyes == eyes and portrait.blink
        assert ("boxed_eyes" in {reason.code for reason in report.reasons}) == (eyes == "boxed")
