"""The person's matte: refined from a coarse mask, and the colours on both sides of its edge."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import Portrait
from sonic_stream.portrait import load_portrait
from sonic_stream.portrait.decode import PortraitError
from sonic_stream.portrait.matte import fill, foreground, plate, refine, trimap
from sonic_stream.portrait.segment import (
    HASH_VARIABLE,
    MODEL_VARIABLE,
    likely_person,
    open_segmenter,
    person_matte,
)


@pytest.fixture(scope="module", params=["mira", "nia", "theo"])
def avatar(request: pytest.FixtureRequest) -> Portrait:
    return load_avatar(request.param)


def photographed(avatar: Portrait, seed: int = 0) -> np.ndarray:
    """Before a mottled wall of a colour that is not the person's, [1024, 1024, 3]."""
    rng = np.random.default_rng(seed)
    spots = cv2.resize(rng.normal(0, 14, (24, 24, 3)).astype(np.float32), (1024, 1024))
    wall = np.array([96, 140, 170]) + spots + rng.normal(0, 2, (1024, 1024, 1))
    alpha = avatar.rgba[..., 3:] / 255
    return np.clip(avatar.rgba[..., :3] * alpha + wall * (1 - alpha), 0, 255).astype(np.uint8)


def coarse(avatar: Portrait) -> np.ndarray:
    """What a segmenter would say: the silhouette at 128 px, soft, and a little too large."""
    small = cv2.resize(avatar.rgba[..., 3], (128, 128), interpolation=cv2.INTER_AREA)
    grown = cv2.GaussianBlur(cv2.dilate(small, np.ones((3, 3))), (0, 0), 1.2)
    return (cv2.resize(grown, (512, 512)) / 255).astype(np.float32)


@pytest.fixture(scope="module")
def refined(avatar: Portrait) -> np.ndarray:
    return refine(photographed(avatar), coarse(avatar), avatar.landmarks)


def test_the_edge_is_found_again_from_a_coarse_mask(avatar: Portrait, refined: np.ndarray) -> None:
    true = avatar.rgba[..., 3].astype(float)
    before = cv2.resize(coarse(avatar), (1024, 1024)) * 255
    edge = cv2.dilate(((true > 5) & (true < 250)).astype(np.uint8), np.ones((15, 15))) > 0
    wrong, wrong_before = np.abs(refined - true)[edge].mean(), np.abs(before - true)[edge].mean()
    assert wrong < 0.45 * wrong_before
    assert np.abs(refined - true).mean() < 3.5
    face = avatar.landmarks[[1, 33, 263, 61, 291, 168, 50, 280], :2].astype(int)
    assert refined[face[:, 1], face[:, 0]].min() == 255, "there are no holes in a face"
    assert refined[:8, :8].max() == 0


def test_hair_keeps_its_soft_edge(avatar: Portrait, refined: np.ndarray) -> None:
    soft = ((refined > 12) & (refined < 243)).sum()
    assert soft > 0.4 * ((avatar.rgba[..., 3] > 12) & (avatar.rgba[..., 3] < 243)).sum()


def test_the_foreground_has_no_fringe_and_the_plate_no_person(avatar: Portrait) -> None:
    picture, matte = photographed(avatar), avatar.rgba[..., 3]
    true = avatar.rgba[..., :3].astype(float)
    edge = (matte > 100) & (matte < 230)
    found = np.abs(foreground(picture, matte) - true)[edge].mean()
    assert found < 0.6 * np.abs(picture - true)[edge].mean()
    wall = np.array([96, 140, 170])
    assert np.abs(plate(picture, matte)[matte > 0] - wall).mean() < 20


def test_what_hangs_in_the_air_is_no_part_of_the_person(avatar: Portrait) -> None:
    likely = coarse(avatar)
    likely[10:60, 10:60] = 1
    known = trimap(likely, avatar.landmarks / 2)
    assert known[10:60, 10:60].max() == 0
    assert known.max() == 1


def test_gaps_are_filled_from_around() -> None:
    picture = np.zeros((64, 48, 3), np.float32)
    picture[:, :24], picture[:, 24:] = 0.2, 0.8
    weight = np.ones((64, 48), np.float32)
    weight[20:44, 12:36] = 0
    filled = fill(np.where(weight[..., None] > 0, picture, 9), weight)
    assert 0.2 <= filled.min() + 1e-6 < 0.25
    assert filled.max() == pytest.approx(0.8)
    assert filled[32, 14, 0] < 0.4 < 0.6 < filled[32, 33, 0]
    nothing = fill(picture, np.zeros((64, 48), np.float32))
    assert np.isfinite(nothing).all()


class Recorded:
    """A segmenter that knows the answer and remembers what it was shown."""

    def __init__(self, answers: list[np.ndarray]) -> None:
        self.shown: list[np.ndarray] = []
        self._answers = answers

    def segment(self, rgb: np.ndarray) -> np.ndarray:
        self.shown.append(rgb)
        return self._answers[len(self.shown) - 1]


def test_both_looks_meet_in_the_same_frame(avatar: Portrait) -> None:
    canvas = np.full((1600, 1600, 4), 255, np.uint8)
    canvas[300:1324, 280:1304] = np.dstack([photographed(avatar), np.full((1024, 1024), 255)])
    landmarks = avatar.landmarks + np.array([280, 300, 0], np.float32)
    near, wide = np.zeros((512, 512), np.float32), np.zeros((512, 512), np.float32)
    silhouette = np.zeros((1600, 1600), np.uint8)
    silhouette[300:1324, 280:1304] = avatar.rgba[..., 3]
    shown = Recorded([near, wide])
    likely_person(shown, canvas, landmarks, 0.18)
    from sonic_stream.portrait.crop import crop

    whole = np.dstack([silhouette] * 4)
    answers = [crop(whole, landmarks, 512, ratio)[0][..., 0] / 255 for ratio in (0.18, 0.88)]
    likely = likely_person(
        Recorded([a.astype(np.float32) for a in answers]), canvas, landmarks, 0.18
    )
    assert np.abs(likely - answers[0]).mean() < 0.01
    assert all(picture.shape == (512, 512, 3) for picture in shown.shown)


def test_a_picture_that_is_cut_out_already_needs_no_segmenter(avatar: Portrait) -> None:
    matte = person_matte(None, avatar.rgba, avatar.landmarks, 512, 0.18)
    assert matte is not None
    assert matte.min() == 0 < 255 == matte.max()
    opaque = avatar.rgba.copy()
    opaque[..., 3] = 255
    assert person_matte(None, opaque, avatar.landmarks, 512, 0.18) is None


def test_a_model_of_ones_own_is_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from sonic_stream.portrait import segment

    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    assert segment._model_file() is None
    model = tmp_path / "selfie.tflite"
    model.write_bytes(b"weights")
    monkeypatch.setenv(MODEL_VARIABLE, str(model))
    assert segment._model_file() == model
    monkeypatch.setenv(HASH_VARIABLE, "00")
    with pytest.raises(PortraitError, match="not the expected file"):
        segment._model_file()


@pytest.mark.filterwarnings("ignore")  # of the segmenter's own libraries
@pytest.mark.skipif(importlib.util.find_spec("mediapipe") is None, reason="[portraits] is missing")
def test_an_uploaded_picture_gets_its_matte() -> None:
    avatar = load_avatar("nia")
    buffer = io.BytesIO()
    Image.fromarray(photographed(avatar)).save(buffer, "JPEG", quality=93)
    portrait, report = load_portrait(buffer.getvalue(), expand_ratio=0.18)
    assert report.ok
    assert portrait is not None
    assert open_segmenter() is not None
    assert portrait.matte is not None
    face = portrait.landmarks[[1, 33, 263, 61, 291, 168, 50, 280], :2].astype(int)
    assert portrait.matte[face[:, 1], face[:, 0]].min() > 250
    assert portrait.matte[:40, :40].max() < 10
