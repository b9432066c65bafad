"""The batched renderer draws what the processor's draws."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.pictures.poses import compared, shown
from sonic_stream.avatars import ORDER, load_avatar
from sonic_stream.engine import Portrait, StreamOptions, load_engine
from sonic_stream.engines.lite.gpu.painter import TorchPainter
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.engines.lite.painter import CpuPainter, Shot
from sonic_stream.media import IdentityLatents
from tests.sonic_stream.engines.lite.gpu.devices import check_alike
from tests.sonic_stream.portrait.drawings import FLAT, Style, draw_eyes, fitted

BACKGROUNDS = [
    StreamOptions(),
    StreamOptions(background="blur"),
    StreamOptions(background="#00c81e"),
    StreamOptions(background="none"),
    StreamOptions(alpha=True),
]
EXTREMES = [
    Motion(yaw_deg=yaw, pitch_deg=pitch, roll_deg=-yaw / 2, shift_x=yaw / 2, shift_y=-pitch / 2,
           gaze_x=gaze_x, gaze_y=gaze_y, blink=blink, lids=lids)
    for yaw, pitch, gaze_x, gaze_y, blink, lids in (
        (13, 9, 1, 1, 0, 1), (-13, 9, -1, 1, 0.3, -1), (13, -9, 1, -1, 0.8, 0),
        (-13, -9, -1, -1, 0, 0.5),
    )
]  # fmt: skip


def painter_of(device: str, **settings: int) -> TorchPainter:
    return TorchPainter("cpu" if device == "torch-cpu" else device, **settings)


@cache
def identity_of(avatar: str, size_px: int) -> IdentityLatents:
    return load_engine("lite", size_px=size_px, device="cpu").prepare(load_avatar(avatar))


def compare(
    painter: TorchPainter,
    shows: list[tuple[IdentityLatents, StreamOptions]],
    motions: list[Motion],
) -> None:
    """Every motion of every scene, in one batch."""
    pictures = []
    for used in (CpuPainter(), painter):
        scenes = [used.scene(identity, options) for identity, options in shows]
        shots = [Shot(motion, ((scene, 1.0),)) for motion in motions for scene in scenes]
        pictures.append(used.paint(shots))
    check_alike(*pictures)


@pytest.mark.parametrize("options", BACKGROUNDS, ids=lambda o: f"{o.background} {o.alpha}")
def test_visemes_blinks_turns_and_gazes_before_every_background(
    device: str, options: StreamOptions
) -> None:
    motions = list(compared().values())
    if options == BACKGROUNDS[0]:
        motions = MOTIONS
    shows = [(identity_of(avatar, 128), options) for avatar in ORDER]
    compare(painter_of(device), shows, motions + EXTREMES)


@pytest.mark.parametrize(("size_px", "avatar"), [(256, "mira"), (512, "theo"), (1024, "nia")])
def test_larger_pictures(device: str, size_px: int, avatar: str) -> None:
    motions = compared()
    some = [motions[name] for name in ("ah", "ee", "half", "left", "happy")]
    shows = [(identity_of(avatar, size_px), StreamOptions(alpha=alpha)) for alpha in (False, True)]
    compare(painter_of(device), shows, some + EXTREMES[:1])


MOTIONS = [motion for group in shown().values() for motion in group.values()]


@given(
    pair=st.tuples(st.sampled_from(MOTIONS), st.sampled_from(MOTIONS), st.floats(0, 1)),
    pose=st.tuples(*(st.floats(-limit, limit) for limit in (9, 6, 5, 5, 4))),
    gaze=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
    lids=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(-1, 1)),
)
@settings(max_examples=40, deadline=None)
def test_anything_between(
    pair: tuple[Motion, Motion, float],
    pose: tuple[float, ...],
    gaze: tuple[float, float],
    lids: tuple[float, float, float],
) -> None:
    one, other, share = pair
    between = one.coefficients * np.float32(share) + other.coefficients * np.float32(1 - share)
    tongue, blink, wide = lids
    motion = Motion(between, tongue, *pose, blink, *gaze, wide)
    compare(TorchPainter("cpu"), [(identity_of("nia", 128), StreamOptions())], [motion])


def open_mouthed(portrait: Portrait) -> Portrait:
    """Landmarks of an open mouth: its lower lip is further down."""
    landmarks = portrait.landmarks.copy()
    landmarks[[95, 88, 178, 87, 14, 317, 402, 318, 324], 1] += 0.02 * len(portrait.rgba)
    return replace(portrait, landmarks=landmarks, content=portrait.content + " open")


def test_unlike_portraits_share_a_batch(device: str, tmp_path: Path) -> None:
    """Without a matte, behind glasses, with eyes that stay open, with drawn ones and flat ones,
    with an open mouth."""
    path = tmp_path / "wall.png"
    noise = np.random.default_rng(0).integers(0, 255, (40, 80, 3), np.uint8)
    cv2.imwrite(str(path), noise)
    engine, theo = load_engine("lite", size_px=128, device="cpu"), load_avatar("theo")
    wall = StreamOptions(background=f"image:{path}")
    shows = [
        (engine.prepare(replace(theo, matte=None)), StreamOptions(background="none")),
        (engine.prepare(replace(theo, glasses=True)), StreamOptions()),
        (engine.prepare(replace(theo, blink=False)), wall),
        (engine.prepare(fitted(draw_eyes(theo, Style())[0])), StreamOptions()),
        (engine.prepare(fitted(draw_eyes(theo, FLAT)[0])), StreamOptions()),
        (engine.prepare(open_mouthed(theo)), StreamOptions(alpha=True)),
    ]
    compare(painter_of(device), shows, [*compared().values(), *EXTREMES])


def test_a_picture_is_the_same_in_any_batch(device: str) -> None:
    motions = [*compared().values(), *EXTREMES]
    whole, pieces = painter_of(device), painter_of(device, max_pixels=3 * 128 * 128)
    made = []
    for painter in (whole, pieces):
        scenes = [painter.scene(identity_of(name, 128), StreamOptions()) for name in ORDER]
        shots = [Shot(motion, ((scene, 1.0),)) for motion in motions for scene in scenes]
        made.append(painter.paint(shots))
    alone = [painter.paint([shot])[0] for shot in shots]
    for one, two, three in zip(*made, alone, strict=True):
        assert np.array_equal(one.pixels, two.pixels)
        assert np.array_equal(one.pixels, three.pixels)


def test_scenes_fade_alike(device: str) -> None:
    pictures = []
    for painter in (CpuPainter(), painter_of(device)):
        shots = []
        for alpha in (False, True):
            scenes = [
                painter.scene(identity_of(name, 128), StreamOptions(background=wall, alpha=alpha))
                for name, wall in (("mira", "keep"), ("nia", "blur"), ("nia", "#203040"))
            ]
            shares = [tuple(zip(scenes, (1.0, *some), strict=False)) for some in ((), (0.5, 0.2))]
            shots += [Shot(motion, layers) for layers in shares for motion in EXTREMES[:2]]
        pictures.append(painter.paint(shots))
    check_alike(*pictures)
    assert pictures[0][-1].behind is not None


def test_streams_of_a_portrait_share_what_lies_on_the_device() -> None:
    painter = TorchPainter("cpu")
    identity = identity_of("mira", 128)
    one = painter.scene(identity, StreamOptions())
    two = painter.scene(identity, StreamOptions(background="blur"))
    assert one.resident is two.resident
    del one, two
    assert not painter.residents  # nothing stays that no stream shows
