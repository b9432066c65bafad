"""What is seen of the mouth, sound by sound, of closed lips and of smiles: measured on pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest

from benchmarks.pictures.poses import VISEMES, viseme
from sonic_stream.avatars import load_avatar
from sonic_stream.engine import Portrait
from sonic_stream.engines.lite.identity import Latents, prepare, restore
from sonic_stream.engines.lite.inside import PARTS, inside_of
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.engines.lite.palette import LUMA
from sonic_stream.engines.lite.pose import pose_of
from sonic_stream.engines.lite.render import Renderer
from sonic_stream.engines.lite.warp import Warper
from sonic_stream.media import ByteArray
from tests.sonic_stream.engines.lite.mouths import speaking, width_of
from tests.sonic_stream.engines.lite.smiles import grinning, smiling

SIZE, PALE = 384, 160
KINDS = {"closed": lambda portrait: portrait, "parted": smiling, "broad": grinning}


@pytest.fixture(scope="module", params=["mira", "nia", "theo"])
def avatar(request: pytest.FixtureRequest) -> Portrait:
    return load_avatar(request.param)


@pytest.fixture(scope="module", params=list(KINDS))
def latents(request: pytest.FixtureRequest, avatar: Portrait) -> Latents:
    return made(KINDS[request.param](avatar))


def made(portrait: Portrait) -> Latents:
    return restore(prepare(portrait, SIZE))


@dataclass(frozen=True)
class Gap:
    """What is open between the lips: `mask` [S, S], sizes in widths of the mouth at rest."""

    mask: np.ndarray
    unit: float

    @property
    def width(self) -> float:
        return float(self.mask.any(0).sum() / self.unit)

    @property
    def height(self) -> float:
        return float(self.mask.sum(0).max() / self.unit)

    @property
    def fullness(self) -> float:
        """Share of the rectangle around it: pi / 4 of an ellipse, 1 of a rectangle."""
        return float(self.mask.sum() / (self.width * self.height * self.unit**2))

    @property
    def corners(self) -> float:
        """How far down its sides end: 0 at the top, 1 at the bottom."""
        rows = np.flatnonzero(self.mask.any(1))
        columns = np.flatnonzero(self.mask.any(0))
        ends = [np.flatnonzero(self.mask[:, at]).mean() for at in (columns[1], columns[-2])]
        return float((np.mean(ends) - rows[0]) / (rows[-1] - rows[0]))


def gap(latents: Latents, motion: Motion) -> Gap:
    """What differs between the pictures of a mouth that is pale within, and of a black one."""

    def within(level: int) -> ByteArray:
        sprites = {name: getattr(latents.interior, name).copy() for name in PARTS}
        for sprite in sprites.values():
            sprite[..., :3] = level
        cavity = np.full(3, level, np.float32)
        inner = replace(latents.interior, cavity=cavity, **sprites)
        return Renderer(replace(latents, interior=inner)).render(motion)

    light = inside_of(latents, motion, pose_of(latents, motion)).light.max()
    differs = np.abs(within(PALE).astype(int) - within(0)).max(-1)
    return Gap(differs > 0.25 * PALE * light, 2 * latents.half_width)


@pytest.mark.parametrize("mood", ["neutral", "happy"])
def test_lips_meet_over_their_whole_width(latents: Latents, mood: str) -> None:
    assert gap(latents, viseme("m b p", mood)).mask.sum() == 0  # type: ignore[arg-type]


def test_rounded_lips_leave_a_small_round_opening_in_a_narrow_mouth(latents: Latents) -> None:
    rounded, wide = gap(latents, viseme("oo")), gap(latents, viseme("ee"))
    assert width_of(latents, viseme("oo")) < 0.68
    assert 0.2 < rounded.width < 0.45 < 0.9 < wide.width
    assert rounded.height > 0.18 * rounded.width
    assert rounded.height < wide.height


def test_a_broad_smile_comes_in_the_most_for_round_vowels(avatar: Portrait) -> None:
    closed, broad = made(avatar), made(grinning(avatar))
    assert width_of(broad, viseme("oo")) < width_of(closed, viseme("oo"))


def test_an_open_vowel_is_an_oval(latents: Latents) -> None:
    opened = gap(latents, viseme("ah"))
    assert opened.width < 0.88
    assert opened.height > 0.4 * opened.width
    assert 0.67 < opened.fullness < 0.82
    assert 0.36 < opened.corners < 0.6


def test_the_jaw_opens_the_mouth_steadily(latents: Latents) -> None:
    heights = [gap(latents, speaking(jaw=jaw, close=0.5)).height for jaw in np.linspace(0, 1.2, 13)]
    assert (np.diff(heights) >= 0).all()
    assert heights[-1] > 0.4


def test_no_lip_shows_among_the_teeth_of_a_wide_open_mouth(latents: Latents) -> None:
    """The lower lip's layer looks for what is above the mouth's patch there."""
    opened = gap(latents, speaking(jaw=1.25, lower_down=0.6)).mask
    starts = np.diff(opened.astype(np.int8), axis=0, prepend=0) == 1
    assert starts.sum(0).max() == 1


def test_the_lower_lip_comes_up_to_the_teeth_for_f(avatar: Portrait) -> None:
    smile = made(smiling(avatar))
    assert 0 < gap(smile, viseme("f v")).height < 0.75 * gap(smile, viseme("ee")).height


def test_the_upper_teeth_stay_where_they_are(latents: Latents) -> None:
    def at(name: str) -> np.ndarray:
        motion = viseme(name)
        plan = inside_of(latents, motion, pose_of(latents, motion))
        teeth = next(sprite for sprite in plan.behind if sprite.part == "upper_teeth")
        return np.asarray(teeth.affine[:, 2] + teeth.shift)

    assert max(np.abs(at(name) - at("m b p")).max() for name in VISEMES) < 1e-4


def test_teeth_are_in_the_dark_behind_rounded_lips_and_warm_on_the_way(latents: Latents) -> None:
    def light(amount: float) -> np.ndarray:
        motion = speaking(pucker=amount)
        return np.asarray(inside_of(latents, motion, pose_of(latents, motion)).light)

    assert light(0.3) == pytest.approx(np.ones(3))
    assert light(0.85) @ LUMA < 0.12
    red, green, blue = light(0.55)
    assert red > 1.1 * green > 1.1 * blue


@pytest.mark.parametrize("name", ["m b p", "ee", "ah", "oh", "oo"])
def test_skin_is_found_again_where_it_was_moved(latents: Latents, name: str) -> None:
    """Where a field is too steep the backward shift is wrong, and folds are drawn twice."""
    warper, patch, pose = Warper(latents), latents.mouth, pose_of(latents, viseme(name))
    for layer, edge in (("upper", patch.v_upper), ("lower", patch.v_lower)):
        shift = warper.backward(patch, layer, pose)
        rows, columns = np.mgrid[: shift.shape[0], : shift.shape[1]].astype(np.float32)
        nodes = np.dstack([columns, rows])
        forward = warper._fields[layer].forward(pose)
        again = cv2.remap(forward, nodes + shift / patch.cell, None, cv2.INTER_LINEAR)
        here = nodes + shift / patch.cell
        within = (here.min(-1) > 0) & (here[..., 0] < shift.shape[1] - 1)
        within &= here[..., 1] < shift.shape[0] - 1
        carried = warper.carried(edge, shift, patch)
        seen = within & ((carried < 0) if layer == "upper" else (carried > 0))
        away = np.abs(shift + again).max(-1)[seen]
        assert np.quantile(away, 0.99) < 0.01 * SIZE


def test_the_picture_says_where_parted_lips_end(avatar: Portrait) -> None:
    """A mesh that is off by a tenth of half the mouth is put right."""
    right, off = made(smiling(avatar)), made(smiling(avatar, mesh_off=0.1))
    middle = np.abs(right.mouth.u) < 0.7

    def edge(latents: Latents, v: np.ndarray) -> np.ndarray:
        """Its row in each column of nodes, pixels."""
        rows = [np.interp(0, column, np.arange(len(column))) for column in v.T]
        return latents.mouth.y0 + np.array(rows)[middle.any(0)] * latents.mouth.cell

    for name in ("v_upper", "v_lower"):
        found = edge(off, getattr(off.mouth, name)) - edge(right, getattr(right.mouth, name))
        assert np.abs(found).mean() < 0.05 * right.half_width


def test_where_the_picture_says_nothing_it_stays_near_the_mesh(avatar: Portrait) -> None:
    smile = smiling(avatar)
    flat = smile.rgba.copy()
    flat[..., :3] = np.median(avatar.rgba[avatar.rgba[..., 3] > 250][:, :3], 0)
    latents = made(Portrait(flat, smile.landmarks, "flat"))
    points = smile.landmarks[[13, 14], 1] * (SIZE / len(smile.rgba))
    middle = int(np.abs(latents.mouth.u[0]).argmin())
    for y, v in zip(points, (latents.mouth.v_upper, latents.mouth.v_lower), strict=True):
        row = np.interp(0, v[:, middle], latents.mouth.y[:, middle])
        assert abs(row - y) < 0.1 * latents.half_width
