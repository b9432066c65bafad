"""The person before another background: still behind it, without a fringe, or transparent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import StreamOptions, load_engine
from sonic_stream.engines.lite.background import Scene, cut_of
from sonic_stream.engines.lite.fields import INDEX
from sonic_stream.engines.lite.identity import Latents, restore
from sonic_stream.engines.lite.motion import Motion, no_coefficients
from sonic_stream.engines.lite.render import Renderer
from sonic_stream.media import AudioChunk, IdentityLatents

SIZE = 256
TURNED = Motion(yaw_deg=4, roll_deg=2, shift_x=4)


@pytest.fixture(scope="module")
def identity() -> IdentityLatents:
    return load_engine("lite", size_px=SIZE).prepare(load_avatar("nia"))


@pytest.fixture(scope="module")
def latents(identity: IdentityLatents) -> Latents:
    return restore(identity)


def drawn(latents: Latents, background: str, motion: Motion, *, alpha: bool = False) -> np.ndarray:
    return Scene(latents, background, alpha=alpha).render(motion)[0]


def far(latents: Latents) -> np.ndarray:
    """Where no person comes, however it moves [S, S]."""
    return cv2.dilate((latents.matte > 0).astype(np.uint8), np.ones((41, 41))) == 0


def test_the_own_background_stands_still_and_at_rest_nothing_changes(latents: Latents) -> None:
    rest = drawn(latents, "keep", Motion()).astype(int)
    assert np.abs(rest - Renderer(latents).render(Motion())).max() <= 3
    turned = drawn(latents, "keep", TURNED).astype(int)
    assert np.abs(turned - rest)[far(latents)].max() == 0
    assert np.abs(turned - rest)[~far(latents)].mean() > 2


@pytest.mark.parametrize("background", ["keep", "#00c81e"])
def test_the_background_is_laid_wherever_it_can_be_seen(latents: Latents, background: str) -> None:
    """Only windows of the picture are blended; the others are opaque however the person moves."""
    cut = cut_of(latents, background, alpha=False)
    assert cut is not None
    for side in (-1, 1):
        motion = Motion(yaw_deg=6 * side, roll_deg=3 * side, shift_x=9 * side, shift_y=-6 * side)
        front, person = Renderer(latents, cut.cutout).draw(motion)
        assert person is not None
        open_ = 1 - person.rgba[..., 3:] / 255
        whole = np.minimum(front + np.round(cut.behind * open_), 255)
        assert np.abs(drawn(latents, background, motion) - whole).max() <= 1


def test_another_background_is_exact_and_still(latents: Latents, tmp_path: Path) -> None:
    around = far(latents)
    colour = drawn(latents, "#00c81e", TURNED)
    assert (colour[around] == (0, 200, 30)).all()
    path = tmp_path / "wall.png"
    picture = np.random.default_rng(0).integers(0, 255, (40, 80, 3), np.uint8)
    cv2.imwrite(str(path), picture)
    image = [drawn(latents, f"image:{path}", motion) for motion in (Motion(), TURNED)]
    assert image[0].shape == (SIZE, SIZE, 3)
    assert (image[0][around] == image[1][around]).all()
    own, soft = drawn(latents, "keep", Motion()), drawn(latents, "blur", Motion())
    assert (
        np.abs(np.diff(soft[around].astype(int), axis=0)).mean()
        < np.abs(np.diff(own[around].astype(int), axis=0)).mean()
    )


@pytest.mark.parametrize("background", ["keep", "#00c81e", "blur"])
def test_speech_and_blinks_leave_the_background_beside_the_face_alone(background: str) -> None:
    """Theo's neck is slim: the mouth's patch reaches past it."""
    theo = restore(load_engine("lite", size_px=SIZE).prepare(load_avatar("theo")))
    patch, beside = theo.mouth, np.zeros((SIZE, SIZE), bool)
    beside[patch.y0 : patch.y0 + patch.height, patch.x0 : patch.x0 + patch.width] = True
    beside &= cv2.dilate((theo.matte > 0).astype(np.uint8), np.ones((5, 5))) == 0
    assert beside.sum() > 200
    coefficients = no_coefficients()
    coefficients[[INDEX["jaw"], INDEX["stretch"]]] = (0.3, 0.5)
    rest = drawn(theo, background, Motion()).astype(int)
    speaks = drawn(theo, background, Motion(coefficients=coefficients, blink=0.6, gaze_x=0.3))
    assert np.abs(speaks - rest)[beside].max() <= 6


@pytest.mark.parametrize("side", [-1, 1])
def test_a_turned_head_that_talks_has_no_gap_beside_the_jaw(side: int) -> None:
    """The mouth's patch knows nothing of what comes from beyond its edge."""
    theo = restore(load_engine("lite", size_px=SIZE).prepare(load_avatar("theo")))
    cut = cut_of(theo, "#00c81e", alpha=False)
    assert cut is not None
    coefficients = no_coefficients()
    coefficients[INDEX["jaw"]] = 0.9
    motion = Motion(coefficients, yaw_deg=10 * side, roll_deg=6 * side, shift_x=-5 * side)
    front, person = Renderer(theo, cut.cutout).draw(motion)
    assert person is not None
    patch, fifth = theo.mouth, theo.mouth.width // 5
    sides = np.zeros((SIZE, SIZE), bool)
    sides[patch.y0 : patch.y0 + patch.height, patch.x0 : patch.x0 + patch.width] = True
    sides[:, patch.x0 + fifth : patch.x0 + patch.width - fifth] = False
    skin = sides & (person.rgba[..., 3] == 255)
    assert skin.sum() > 500
    assert front[skin].max(1).min() > 25


def test_transparent_frames_carry_the_moved_matte(latents: Latents) -> None:
    rest, behind = Scene(latents, "none", alpha=False).render(Motion())
    assert rest.shape == (SIZE, SIZE, 4)
    assert behind is not None
    # The portrait is sampled between its pixels, its coverage too.
    assert np.abs(rest[..., 3].astype(int) - latents.matte).mean() < 0.5
    turned = drawn(latents, "none", TURNED)[..., 3].astype(int)
    assert np.abs(turned - rest[..., 3]).mean() > 0.5
    assert turned[far(latents)].max() == 0


def test_no_background_shines_through_the_edge(latents: Latents) -> None:
    """Over black, edges are as dark as the person's own colours make them."""
    rgba = drawn(latents, "none", TURNED).astype(float)
    edge = (rgba[..., 3] > 40) & (rgba[..., 3] < 215)
    own = cv2.dilate(rgba[..., :3] * (rgba[..., 3:] > 250), np.ones((9, 9)))
    assert edge.sum() > 200
    assert (rgba[..., :3][edge] <= own[edge] + 25).mean() > 0.93


def test_alpha_comes_with_any_background_beside_it(latents: Latents) -> None:
    rgba, behind = Scene(latents, "#102030", alpha=True).render(TURNED)
    assert behind is not None
    alpha = rgba[..., 3:] / 255
    over = rgba[..., :3] * alpha + behind * (1 - alpha)
    assert np.abs(over - drawn(latents, "#102030", TURNED)).mean() < 0.6


def test_without_a_matte_the_portrait_keeps_its_background() -> None:
    engine = load_engine("lite", size_px=SIZE)
    blind = engine.prepare(replace(load_avatar("nia"), matte=None))
    assert blind.meta["matte"] == "no"
    latents = restore(blind)
    for background in ("none", "#00c81e"):
        assert (drawn(latents, background, TURNED) == Renderer(latents).render(TURNED)).all()


def test_a_stream_changes_its_background_live_and_survives_a_bad_one(
    identity: IdentityLatents, tmp_path: Path
) -> None:
    engine = load_engine("lite", size_px=SIZE)
    stream = engine.open(identity, StreamOptions())

    def frame(index: int) -> np.ndarray:
        start = index * 640
        chunks = stream.push(AudioChunk(np.zeros(640, np.float32), 16000, start))
        return chunks[0].frames if chunks else np.zeros(0)

    for index in range(3):
        frame(index)
    assert frame(3).shape[-1] == 3
    stream.configure(StreamOptions(background="none"))
    assert frame(4).shape[-1] == 4
    with pytest.raises(ValueError, match="cannot be read"):
        stream.configure(StreamOptions(background=f"image:{tmp_path / 'missing.png'}"))
    assert frame(5).shape[-1] == 4
    stream.configure(StreamOptions(background="#ff0000"))
    assert tuple(frame(6)[0, 0, 0]) == (255, 0, 0)


@pytest.mark.parametrize("background", ["", "green", "#12345", "image:", "keep "])
def test_unknown_backgrounds_are_refused(background: str) -> None:
    with pytest.raises(ValueError, match="keep, blur, none"):
        StreamOptions(background=background)
