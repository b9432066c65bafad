"""What makes the picture believable, as properties of pixels and fields."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import Portrait
from sonic_stream.engines.lite.fields import INDEX
from sonic_stream.engines.lite.geometry import OUTER_LOWER, OUTER_UPPER, OVAL
from sonic_stream.engines.lite.identity import Latents, prepare, restore
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.engines.lite.palette import LUMA
from sonic_stream.engines.lite.pose import pose_of
from sonic_stream.engines.lite.render import Renderer
from sonic_stream.engines.lite.warp import Warper
from tests.sonic_stream.engines.lite.mouths import speaking, width_of
from tests.sonic_stream.engines.lite.smiles import IVORY, smiling

SIZE = 256
AVATARS = ("mira", "nia", "theo")


SPREAD = speaking(jaw=0.16, stretch=0.85, lower_down=0.6, upper_up=0.5, close=0.4)
ROUND = speaking(jaw=0.14, pucker=1.0, funnel=0.22, close=1.0)
OPEN = speaking(jaw=0.75, lower_down=0.25, upper_up=0.2)
CLOSED = speaking(press=0.75, close=1.0)
MOTIONS = {"rest": Motion(), "closed": CLOSED, "round": ROUND, "spread": SPREAD, "open": OPEN}


def made(portrait: Portrait, size_px: int = SIZE) -> Latents:
    return restore(prepare(portrait, size_px))


@pytest.fixture(scope="module", params=AVATARS)
def avatar(request: pytest.FixtureRequest) -> Portrait:
    return load_avatar(request.param)


@pytest.fixture(scope="module")
def latents(avatar: Portrait) -> Latents:
    return made(avatar)


@pytest.fixture(scope="module")
def renderer(latents: Latents) -> Renderer:
    return Renderer(latents)


def seen_inside(latents: Latents) -> dict[str, int]:
    """Pixels that show a bright green, put in place of all that is in the mouth, per motion."""

    def green(sprite: np.ndarray) -> np.ndarray:
        return np.dstack([np.broadcast_to([0, 255, 0], (*sprite.shape[:2], 3)), sprite[..., 3]])

    inner = latents.interior
    painted = replace(
        inner,
        upper_teeth=green(inner.upper_teeth).astype(np.uint8),
        lower_teeth=green(inner.lower_teeth).astype(np.uint8),
    )
    renderer = Renderer(replace(latents, interior=painted))
    counts = {}
    for name, motion in MOTIONS.items():
        picture = renderer.render(motion).astype(int)
        counts[name] = int((picture[..., 1] - picture[..., [0, 2]].max(-1) > 60).sum())
    return counts


def test_a_closure_shows_no_teeth_and_rounded_lips_hardly_any(latents: Latents) -> None:
    seen = seen_inside(latents)
    assert seen["rest"] == seen["closed"] == 0
    assert seen["open"] > 20
    assert seen["spread"] > 40
    assert seen["round"] < 0.2 * seen["spread"]


def test_an_open_mouth_is_dark_within(latents: Latents, renderer: Renderer) -> None:
    dark = latents.interior.cavity
    counts = []
    for motion in (Motion(), CLOSED, OPEN):
        patch, picture = latents.mouth, renderer.render(motion).astype(float)
        middle, reach = patch.x0 + patch.width // 2, int(0.5 * latents.half_width)
        part = picture[patch.y0 : patch.y0 + patch.height, middle - reach : middle + reach]
        counts.append(int((np.abs(part - dark).max(-1) < 22).sum()))
    assert counts[1] <= counts[0] + 8
    assert counts[2] > counts[0] + 40


def test_round_vowels_are_narrow_and_spread_ones_wide(latents: Latents) -> None:
    rest = width_of(latents, Motion())
    assert width_of(latents, ROUND) < 0.8 * rest
    assert width_of(latents, SPREAD) > 1.06 * rest


def test_the_lower_lip_meets_the_teeth_for_f(latents: Latents) -> None:
    tucked = speaking(jaw=0.04, tuck=0.9, upper_up=0.75, close=0.9)
    warper, patch = Warper(latents), latents.mouth
    pose = pose_of(latents, tucked)
    middle = int(np.abs(patch.u[0]).argmin())
    lower = warper.carried(patch.v_lower, warper.backward(patch, "lower", pose), patch)
    rest_row, now_row = (np.abs(grid[:, middle]).argmin() for grid in (patch.v_lower, lower))
    assert now_row < rest_row, "the lip's edge is higher than at rest"


def test_speech_leaves_the_background_alone(
    avatar: Portrait, latents: Latents, renderer: Renderer
) -> None:
    points = avatar.landmarks[OVAL, :2] * (SIZE / len(avatar.rgba))
    face = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(face, [np.round(points).astype(np.int32)], 1)
    reach = int(0.2 * np.ptp(points[:, 0]))
    face = cv2.dilate(face, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    face[int(points[:, 1].max()) :] = 1  # the neck stretches
    rest = renderer.render(Motion())
    for motion in (OPEN, SPREAD, ROUND, CLOSED):
        spoken = renderer.render(motion)[face == 0]
        assert np.abs(rest[face == 0].astype(int) - spoken).max() <= 2


def test_a_mouth_with_as_many_nodes_as_the_picture_leaves_the_heads_turn_alone(
    latents: Latents,
) -> None:
    """As large faces have; this one's follows the head nowhere."""
    whole = latents.whole
    still = replace(
        whole,
        head=np.zeros_like(whole.head),
        layers={"upper": whole.layers["whole"], "lower": whole.layers["whole"]},
    )
    turned = Motion(yaw_deg=6, roll_deg=4)
    pose = pose_of(latents, turned)
    expected = Warper(latents).backward(whole, "whole", pose)
    large = Warper(replace(latents, mouth=still))
    assert np.array_equal(large.backward(whole, "whole", pose), expected)
    assert not large.backward(still, "upper", pose).any()


def test_a_lid_never_reaches_the_brow(latents: Latents, renderer: Renderer) -> None:
    rest, shut = renderer.render(Motion()), renderer.render(Motion(blink=1.0))
    moved = np.abs(rest.astype(int) - shut).max(-1) > 8
    for eye in latents.eyes.values():
        top = int(eye.corner[1] + eye.width * (float(eye.upper.min()) - 0.48))
        across = slice(eye.patch.x0, eye.patch.x0 + eye.patch.width)
        assert not moved[:top, across].any()
        assert moved[top:, across].any()


def test_the_inside_has_the_portraits_light(avatar: Portrait) -> None:
    def teeth_of(light: np.ndarray) -> np.ndarray:
        rgba = avatar.rgba * np.append(light, 1)
        lit = Portrait(rgba.astype(np.uint8), avatar.landmarks, "lit")
        sprite = made(lit).interior.upper_teeth.astype(float)
        return np.asarray(sprite[..., :3][sprite[..., 3] > 250].mean(0))

    plain, dim = teeth_of(np.ones(3)), teeth_of(np.full(3, 0.45))
    assert 0.35 < (dim @ LUMA) / (plain @ LUMA) < 0.6
    warm = teeth_of(np.array([1.0, 0.8, 0.55]))
    assert warm[2] / warm[0] < 0.85 * plain[2] / plain[0]


def test_teeth_are_ivory_and_of_no_colour_in_grey_pictures(avatar: Portrait) -> None:
    def tint(rgb: np.ndarray) -> np.ndarray:
        portrait = Portrait(np.dstack([rgb, avatar.rgba[..., 3]]), avatar.landmarks, "tinted")
        sprite = made(portrait).interior.upper_teeth.astype(float)
        bright = (sprite[..., 3] > 250) & (sprite[..., :3] @ LUMA > 100)
        colour = np.median(sprite[..., :3][bright], 0)
        return np.asarray(colour / (colour @ LUMA))

    red, green, blue = tint(avatar.rgba[..., :3])
    assert red > green > blue, "no blue or green cast"
    assert 0.8 < blue / green < 0.97
    grey = cv2.cvtColor(np.ascontiguousarray(avatar.rgba[..., :3]), cv2.COLOR_RGB2GRAY)
    assert np.ptp(tint(np.repeat(grey[..., None], 3, 2))) < 0.02


def test_teeth_lie_level_with_the_lips_however_the_mesh_bends_the_head(avatar: Portrait) -> None:
    bend = np.deg2rad(25)
    points = avatar.landmarks.copy()
    points[:, 2] += np.tan(bend) * (points[:, 1] - points[:, 1].mean())
    interior = made(Portrait(avatar.rgba, points, "bent")).interior
    away = (interior.to_picture - interior.to_lips)[:, 2]
    assert abs(away[1]) < 0.5  # pixels


def test_the_tongues_tip_reaches_from_canine_to_canine(latents: Latents) -> None:
    tip, teeth = latents.interior.tongue_tip[..., 3], latents.interior.upper_teeth[..., 3]
    wide, row = ((sprite > 127).any(0).sum() for sprite in (tip, teeth))
    assert 0.4 < wide / row < 0.8


def test_teeth_are_as_soft_as_the_portrait(avatar: Portrait) -> None:
    def edges(portrait: Portrait) -> float:
        sprite = made(portrait).interior.upper_teeth[..., 3].astype(np.float32)
        return float(np.abs(cv2.Sobel(sprite, cv2.CV_32F, 0, 1)).max())

    soft = cv2.GaussianBlur(avatar.rgba, (0, 0), 9)
    assert edges(Portrait(soft, avatar.landmarks, "soft")) < 0.6 * edges(avatar)


def test_a_smile_keeps_its_own_teeth_and_a_dark_mouth_gets_some(avatar: Portrait) -> None:
    own = made(smiling(avatar))
    assert own.open_at_rest
    assert own.interior.own_teeth
    sprite = own.interior.upper_teeth.astype(float)
    middle = sprite[:, sprite.shape[1] // 2]
    tooth = np.percentile(middle[middle[:, 3] > 250][:, :3], 80, axis=0)
    assert np.abs(tooth - IVORY).max() < 30
    assert not made(smiling(avatar, (60, 20, 20))).interior.own_teeth


def test_a_smile_leaves_rest_without_a_jump(avatar: Portrait) -> None:
    renderer = Renderer(made(smiling(avatar)))
    for name in ("jaw", "stretch", "pucker", "lower_down", "press"):
        frames = [
            renderer.render(speaking(**{name: amount})).astype(int)
            for amount in np.linspace(0, 0.4, 21)
        ]
        steps = [np.abs(b - a).mean() for a, b in itertools.pairwise(frames)]
        assert max(steps) < 3 * np.median(steps), name


@pytest.mark.parametrize("size_px", [512, 768])
def test_rest_is_as_sharp_as_motion(size_px: int) -> None:
    avatar = load_avatar("theo")
    renderer = Renderer(made(avatar, size_px))
    points = avatar.landmarks[:, :2] * (size_px / len(avatar.rgba))
    (x0, y0), (x1, y1) = points.min(0).astype(int), points.max(0).astype(int)

    def sharpness(motion: Motion) -> float:
        grey = cv2.cvtColor(renderer.render(motion), cv2.COLOR_RGB2GRAY)[y0:y1, x0:x1]
        return float(cv2.Laplacian(grey, cv2.CV_64F).var())

    moving = [sharpness(Motion(yaw_deg=0.37 * i, shift_y=0.23 * i)) for i in range(1, 8)]
    assert 0.8 < sharpness(Motion()) / float(np.median(moving)) < 1.25


def steepest(latents: Latents, name: str) -> float:
    """How much a field changes from node to node, of their distance: at 1 the skin folds."""
    patch = latents.whole
    field = patch.layers["whole"].bases[INDEX[name]].reshape(2, *patch.x.shape)
    return float(np.abs(np.diff(field[1], axis=0)).max() / patch.cell)


def test_brows_rise_without_folding_even_close_to_the_eye(avatar: Portrait) -> None:
    assert 0.02 < steepest(made(avatar), "brow_up") < 0.8
    low = avatar.landmarks.copy()
    brows = [70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 336, 296, 334, 293, 300]
    brows += [285, 295, 282, 283, 276]
    low[brows, 1] += 0.10 * np.ptp(low[:, 0])
    assert steepest(made(Portrait(avatar.rgba, low, "low")), "brow_up") < 0.8


def test_brows_move_less_behind_glasses(avatar: Portrait) -> None:
    row = INDEX["brow_up"]
    worn = Portrait(avatar.rgba, avatar.landmarks, "worn", glasses=True)
    bare, behind = (np.abs(made(p).whole.layers["whole"].bases[row]).max() for p in (avatar, worn))
    assert 0 < behind < 0.4 * bare
    narrowed = Renderer(made(worn))
    assert np.array_equal(narrowed.render(Motion(lids=-1.0)), narrowed.render(Motion()))


def test_a_mouth_that_is_a_line_gets_a_plain_band(avatar: Portrait) -> None:
    points = avatar.landmarks
    rgba = cv2.bilateralFilter(np.ascontiguousarray(avatar.rgba[..., :3]), 15, 40, 9)
    skin = np.median(rgba[points[[50, 280], 1].astype(int), points[[50, 280], 0].astype(int)], 0)
    lips = np.vstack([points[OUTER_UPPER, :2], points[OUTER_LOWER, :2][::-1]])
    grown = lips.mean(0) + 1.1 * (lips - lips.mean(0))
    cv2.fillPoly(rgba, [np.round(grown).astype(np.int32)], [int(c) for c in skin])
    drawn = np.dstack([rgba, avatar.rgba[..., 3]])
    interior = made(Portrait(drawn, points, "drawn")).interior
    assert interior.is_line_art
    assert not interior.lower_teeth[..., 3].any()
    assert not made(avatar).interior.is_line_art
    red, green, blue = interior.cavity
    assert red > 2 * max(green, blue), "as drawings show it"
    grey = np.repeat(cv2.cvtColor(rgba, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    inside = made(Portrait(np.dstack([grey, avatar.rgba[..., 3]]), points, "grey")).interior
    assert inside.is_line_art
    assert np.ptp(inside.cavity) < 3


def test_a_smile_deepens_the_folds_and_rest_has_none(latents: Latents, renderer: Renderer) -> None:
    folds = latents.folds
    flat = replace(folds, cheeks=0 * folds.cheeks, chin=0 * folds.chin)
    without = Renderer(replace(latents, folds=flat))
    smile = speaking(smile=1.0)
    difference = without.render(smile).astype(int) - renderer.render(smile)
    assert difference.max() > 3
    assert difference.min() >= -1, "folds only darken"
    dropped = speaking(jaw=0.6)
    assert np.array_equal(without.render(dropped), renderer.render(dropped))
