"""The embedded engine's pictures: at rest, speaking, blinking, alive."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import Portrait, StreamOptions, load_engine
from sonic_stream.engines.lite import tree
from sonic_stream.engines.lite.fields import INDEX
from sonic_stream.engines.lite.identity import Latents, restore
from sonic_stream.engines.lite.motion import Motion, no_coefficients
from sonic_stream.engines.lite.network import CHANNEL, CHANNELS
from sonic_stream.engines.lite.render import Renderer
from sonic_stream.engines.lite.rig import lip_smoother, lips
from sonic_stream.media import AudioChunk, IdentityLatents

SIZE = 256


@pytest.fixture(scope="module", params=["mira", "nia", "theo"])
def avatar(request: pytest.FixtureRequest) -> Portrait:
    return load_avatar(request.param)


@pytest.fixture(scope="module")
def latents(avatar: Portrait) -> Latents:
    return restore(load_engine("lite", size_px=SIZE).prepare(avatar))


@pytest.fixture(scope="module")
def renderer(latents: Latents) -> Renderer:
    return Renderer(latents)


def speaking(**coefficients: float) -> Motion:
    values = no_coefficients()
    for name, value in coefficients.items():
        values[INDEX[name]] = value
    return Motion(coefficients=values)


def changed(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Where two pictures differ visibly, [S, S]."""
    return np.abs(one.astype(int) - two).max(-1) > 24


def region(latents: Latents, part: str) -> np.ndarray:
    """The mouth's or the eyes' patch as a mask."""
    mask = np.zeros((SIZE, SIZE), bool)
    patches = [latents.mouth] if part == "mouth" else [eye.patch for eye in latents.eyes.values()]
    for patch in patches:
        mask[patch.y0 : patch.y0 + patch.height, patch.x0 : patch.x0 + patch.width] = True
    return mask


def test_at_rest_it_is_the_portrait(latents: Latents, renderer: Renderer) -> None:
    k = latents.enlarged
    portrait = latents.source[k // 2 :: k, k // 2 :: k][:SIZE, :SIZE].astype(int)
    difference = np.abs(renderer.render(Motion()).astype(int) - portrait)
    assert np.median(difference) <= 2


def test_the_mouth_opens_and_only_the_lower_face_moves(
    latents: Latents, renderer: Renderer
) -> None:
    rest = renderer.render(Motion())
    moved = changed(rest, renderer.render(speaking(jaw=0.8, lower_down=0.3)))
    assert moved[region(latents, "mouth")].sum() > 150
    eyes = region(latents, "eyes")
    assert not moved[eyes & ~region(latents, "mouth")].any()
    assert not moved[: SIZE // 4].any()


def test_opening_wider_shows_more_of_the_inside(renderer: Renderer) -> None:
    rest = renderer.render(Motion())
    areas = [
        changed(rest, renderer.render(speaking(jaw=jaw))).sum() for jaw in (0.2, 0.4, 0.6, 0.8)
    ]
    assert areas == sorted(areas)


def test_leaving_rest_does_not_pop(renderer: Renderer) -> None:
    steps = [renderer.render(speaking(jaw=jaw)).astype(int) for jaw in np.linspace(0, 0.3, 13)]
    jumps = [np.abs(b - a).mean() for a, b in itertools.pairwise(steps)]
    assert max(jumps) < 6 * np.median(jumps)


def test_a_blink_changes_the_eyes_alone(latents: Latents, renderer: Renderer) -> None:
    rest = renderer.render(Motion())
    moved = changed(rest, renderer.render(Motion(blink=1.0)))
    assert moved[region(latents, "eyes")].sum() > 60
    assert not moved[~region(latents, "eyes")].any()


def test_lids_open_wide_and_narrow_in_the_eyes_alone(latents: Latents, renderer: Renderer) -> None:
    eyes = region(latents, "eyes")
    white = {lids: renderer.render(Motion(lids=lids)).astype(int) for lids in (-1.0, 0.0, 1.0)}
    for lids in (-1.0, 1.0):
        moved = changed(white[0.0], white[lids])
        assert moved[eyes].sum() > 20
        assert not moved[~eyes].any()


def test_portraits_that_must_not_blink_do_not(avatar: Portrait) -> None:
    engine = load_engine("lite", size_px=SIZE)
    covered = Portrait(avatar.rgba, avatar.landmarks, avatar.content, blink=False)
    renderer = Renderer(restore(engine.prepare(covered)))
    assert np.array_equal(renderer.render(Motion()), renderer.render(Motion(blink=1.0, lids=1.0)))


@pytest.mark.parametrize("size_px", [128, 528, 784])
def test_other_sizes_work(size_px: int) -> None:
    engine = load_engine("lite", size_px=size_px)
    renderer = Renderer(restore(engine.prepare(load_avatar("mira"))))
    assert renderer.render(speaking(jaw=0.7)).shape == (size_px, size_px, 3)
    with pytest.raises(ValueError, match="multiple of 16"):
        load_engine("lite", size_px=size_px + 1)


def channels(**values: float) -> np.ndarray:
    out = np.zeros(len(CHANNELS), np.float32)
    for name, value in values.items():
        out[CHANNEL[name]] = value
    return out


def test_silence_is_a_closed_and_still_mouth() -> None:
    noise = channels(jaw=0.3, jaw_loud=0.3, round=0.2, upper_raise=0.2, speech=0.05)
    assert not lips(noise, 2.0)[0].any()
    engine = load_engine("lite", size_px=128)
    identity = engine.prepare(load_avatar("mira"))
    stream = engine.open(identity, StreamOptions(motion_scale=0.0))
    hiss = 0.001 * np.random.default_rng(0).standard_normal(40 * 640)
    frames = [c.frames[0] for c in stream.push(AudioChunk(hiss.astype(np.float32), 16000, 0))]
    assert all(np.array_equal(frame, frames[0]) for frame in frames)


def test_lips_close_for_a_closure_and_round_for_a_round_vowel() -> None:
    closed, _ = lips(channels(jaw=0.5, jaw_loud=0.5, close=0.8, speech=1), 1.0)
    opened, _ = lips(channels(jaw=0.9, jaw_loud=0.9, speech=1), 1.0)
    rounded, _ = lips(channels(jaw=0.3, round=0.9, speech=1), 1.0)
    assert closed[INDEX["jaw"]] < 0.1 < opened[INDEX["jaw"]]
    assert closed[INDEX["close"]] == pytest.approx(1, abs=0.01)
    assert rounded[INDEX["pucker"]] > 0.7
    larger, _ = lips(channels(jaw=0.6, jaw_loud=0.6, speech=1), 1.5)
    smaller, _ = lips(channels(jaw=0.6, jaw_loud=0.6, speech=1), 0.5)
    assert larger[INDEX["jaw"]] == pytest.approx(3 * smaller[INDEX["jaw"]], rel=0.05)


def test_closing_is_quicker_than_opening() -> None:
    up, down = lip_smoother(), lip_smoother()
    opening = up.step(channels(jaw=1.0), 0.04)[CHANNEL["jaw"]]
    down.step(channels(jaw=1.0), 0.04, amount=0.0)
    closing = 1 - down.step(channels(), 0.04)[CHANNEL["jaw"]]
    assert closing > opening


def test_an_identity_of_another_kind_is_refused(latents: Latents) -> None:
    tensors = tree.pack(latents)
    assert set(tree.pack(tree.unpack(Latents, tensors))) == set(tensors)
    with pytest.raises(ValueError, match="not for lite"):
        restore(IdentityLatents("testcard", SIZE, "x", {}))
    with pytest.raises(ValueError, match="prepare the portrait again"):
        restore(IdentityLatents("lite", SIZE, "x", {"size_px": np.array(SIZE)}))
