"""Drawn mouths that the mesh misses are found in the picture; all others are left to the mesh."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from sonic_stream.avatars import ORDER, load_avatar
from sonic_stream.engines.lite.geometry import OVAL
from sonic_stream.portrait import Face, load_portrait
from sonic_stream.portrait.drawn_mouth import EYE_CORNERS, JAW, LOWER_LIP, UPPER_LIP, fit_mouth
from sonic_stream.portrait.fitness import REASONS, FitnessReport

FINER = 2
HAIR, SKIN, LINE, TONGUE = (96, 66, 120), (254, 232, 216), (120, 62, 62), (240, 140, 140)
NECK = {"shaded": (240, 196, 180), "of the face's colour": SKIN}


@dataclass(frozen=True)
class Mouth:
    """Lengths in widths of the mesh's mouth; `gap`: of the line, left out in its middle."""

    width: float = 0.6
    height: float = 0.0
    smile: float = 0.0
    gap: float = 0.0


@dataclass
class Finder:
    """Sees this mesh at first, and from close by one somewhere else."""

    landmarks: np.ndarray

    def find(self, rgb: np.ndarray) -> list[Face]:
        seen, self.landmarks = self.landmarks, self.landmarks + 1000
        return [Face(seen)]


@dataclass(frozen=True)
class Truth:
    corners: np.ndarray  # [2, 2], the right one first
    chin: np.ndarray
    unit: float  # between the eyes' outer corners


def draw(mouth: Mouth | None, neck: str = "shaded") -> tuple[np.ndarray, np.ndarray, Truth]:
    """A flat face [S, S, 4], the mesh that fits it, and where its mouth and chin are."""
    portrait = load_avatar("mira")
    mesh = portrait.landmarks
    size = len(portrait.rgba)
    fine = np.full((FINER * size, FINER * size, 3), HAIR, np.uint8)

    def fill(points: np.ndarray, colour: tuple[int, int, int]) -> None:
        cv2.fillPoly(fine, [np.round(points * FINER).astype(np.int32)], colour, cv2.LINE_AA)

    def stroke(points: np.ndarray, colour: tuple[int, int, int]) -> None:
        corners = [np.round(points * FINER).astype(np.int32)]
        cv2.polylines(fine, corners, False, colour, FINER * size // 256, cv2.LINE_AA)

    (left, top), (right, _) = mesh[[150, 379], :2]
    fill(np.array([[left, top], [right, top], [right, size], [left, size]]), NECK[neck])
    fill(mesh[OVAL, :2], SKIN)
    stroke(mesh[[*JAW[0], *JAW[1][::-1]], :2], LINE)
    for upper, lower in (((33, 133), 145), ((362, 263), 374)):
        middle = mesh[[*upper, lower], :2].mean(0)
        wide = float(np.linalg.norm(mesh[upper[1], :2] - mesh[upper[0], :2])) / 2
        angle = np.linspace(0, 2 * np.pi, 60)
        fill(middle + wide * np.column_stack([np.cos(angle), np.sin(angle)]), (60, 40, 70))
    stroke(mesh[[195, 5], :2], LINE)  # the nose
    wide = float(np.linalg.norm(mesh[291, :2] - mesh[61, :2]))
    middle = mesh[[13, 14], :2].mean(0)
    side = np.linspace(-0.5, 0.5, 41)
    if mouth is not None:
        x = middle[0] + side * mouth.width * wide
        y = middle[1] - mouth.smile * wide * 4 * side**2
        if mouth.height:
            half = mouth.height * wide * np.sqrt(0.25 - side**2)
            ring = np.column_stack([np.r_[x, x[::-1]], np.r_[y - half, (y + half)[::-1]]])
            fill(ring, TONGUE)
            stroke(ring, LINE)
        else:
            for part in (side < -mouth.gap / 2, side > mouth.gap / 2):
                stroke(np.column_stack([x, y])[part], LINE)
        corners = np.column_stack([x, y])[[0, -1]]
    else:
        corners = np.zeros((2, 2))
    rgb = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)
    rgba = np.dstack([rgb, np.full((size, size), 255, np.uint8)])
    unit = float(np.linalg.norm(mesh[EYE_CORNERS[1], :2] - mesh[EYE_CORNERS[0], :2]))
    return rgba, mesh, Truth(corners, mesh[152, :2].astype(np.float64), unit)


def missed(mesh: np.ndarray) -> np.ndarray:
    """The mesh with its mouth at the chin, as the finder places it on flat faces."""
    wrong = mesh.copy()
    eyes, lips, chin = mesh[EYE_CORNERS, 1].mean(), mesh[[13, 14], 1].mean(), mesh[152, 1]
    rows = [eyes, lips, chin]
    wrong[:, 1] += np.interp(mesh[:, 1], rows, np.array([0, 0.85, 0.25]) * (chin - lips))
    return wrong


def turned(
    rgba: np.ndarray, landmarks: np.ndarray, degrees: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture and landmarks, and the matrix [2, 3] that turned them."""
    half = len(rgba) / 2
    matrix = cv2.getRotationMatrix2D((half, half), degrees, 1.0)
    picture = cv2.warpAffine(rgba, matrix, rgba.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    moved = landmarks.copy()
    moved[:, :2] = landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return picture, moved, matrix


MOUTHS = {
    "line": Mouth(),
    "short line": Mouth(width=0.4),
    "smile": Mouth(width=0.7, smile=0.08),
    "line with a gap": Mouth(width=0.7, gap=0.25),
    "oval": Mouth(width=0.55, height=0.35),
}


@pytest.mark.parametrize("degrees", [0.0, 11.0])
@pytest.mark.parametrize("neck", NECK)
@pytest.mark.parametrize("mouth", MOUTHS.values(), ids=MOUTHS)
def test_a_missed_mouth_is_found(mouth: Mouth, neck: str, degrees: float) -> None:
    rgba, mesh, truth = draw(mouth, neck)
    picture, wrong, matrix = turned(rgba, missed(mesh), degrees)
    found = fit_mouth(picture, wrong)
    assert found is not None
    assert found is not wrong
    assert found.dtype == np.float32
    level = (found[:, :2] - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    near = 0.03 * truth.unit
    assert level[[UPPER_LIP[3][0], UPPER_LIP[3][-1]]] == pytest.approx(truth.corners, abs=near)
    assert level[152] == pytest.approx(truth.chin, abs=2 * near)
    inner = level[LOWER_LIP[3], 1] - level[UPPER_LIP[3], 1]
    height = mouth.height / mouth.width * np.ptp(truth.corners[:, 0])
    assert inner.max() == pytest.approx(height, abs=2 * near)
    assert level[4, 1] < level[2, 1] < level[0, 1] < level[13, 1] <= level[14, 1] < level[17, 1]
    assert level[17, 1] < level[152, 1]
    eyes = [33, 263, 159, 386, 468, 473, 10, 151]
    assert np.allclose(found[eyes], wrong[eyes], atol=1e-2)
    assert np.array_equal(found[:, 2], wrong[:, 2])


@pytest.mark.parametrize("mouth", MOUTHS.values(), ids=MOUTHS)
def test_a_drawn_mouth_that_the_mesh_fits_is_left_to_it(mouth: Mouth) -> None:
    rgba, mesh, _ = draw(mouth)
    assert fit_mouth(rgba, mesh) is mesh


@pytest.mark.parametrize("avatar", ORDER)
@pytest.mark.parametrize("light", [1.0, 0.3])
def test_painted_people_are_left_to_the_mesh(avatar: str, light: float) -> None:
    portrait = load_avatar(avatar)
    for grey in (False, True):
        rgba = (portrait.rgba * light).astype(np.uint8)
        if grey:
            rgba[..., :3] = rgba[..., :3].mean(-1, keepdims=True).astype(np.uint8)
        assert fit_mouth(rgba, portrait.landmarks) is portrait.landmarks


def test_no_mouth_is_refused() -> None:
    rgba, mesh, _ = draw(None)
    assert fit_mouth(rgba, mesh) is None


def test_small_pictures_and_faces_at_the_border_do_no_harm() -> None:
    rgba, mesh, _ = draw(Mouth())
    away = mesh + np.array([700, -400, 0], np.float32)
    for picture, points in ((rgba, away), (np.full_like(rgba, 128), mesh), (rgba, 0 * mesh)):
        found = fit_mouth(picture, points)
        assert found is None or found is points


def test_the_mouth_is_judged_again_where_it_was_found() -> None:
    open_mesh = load_avatar("mira").landmarks.copy()
    open_mesh[14, 1] += 0.5 * np.linalg.norm(open_mesh[291] - open_mesh[61])
    report = FitnessReport((REASONS["mouth_open"], REASONS["dark"])).with_mouth(open_mesh)
    assert [reason.code for reason in report.reasons] == ["dark", "mouth_wide_open"]


def test_an_upload_speaks_with_its_drawn_mouth_or_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sonic_stream.portrait.open_segmenter", lambda: None)
    for mouth, fit in ((Mouth(), True), (None, False)):
        rgba, mesh, _ = draw(mouth)
        data = BytesIO()
        Image.fromarray(rgba).save(data, "PNG")
        finder = Finder(missed(mesh) if fit else mesh)
        portrait, report = load_portrait(data.getvalue(), finder)
        assert report.ok == (portrait is not None) == fit
        assert ("mouth_unclear" in {reason.code for reason in report.reasons}) == (not fit)
