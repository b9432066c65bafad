"""Alpha through a video codec and back: colours above, the matte below."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_server.worker.encoders import h264_level, open_encoder
from avatar_server.worker.stacking import over, rungs, stacked, unstacked
from sonic_stream.avatars import load_avatar
from sonic_stream.engine import load_engine
from sonic_stream.engines.lite.background import Scene
from sonic_stream.engines.lite.identity import restore
from sonic_stream.engines.lite.motion import Motion

FPS = Fraction(25)


def as_rgb(planar: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(planar, cv2.COLOR_YUV2RGB_I420)


@given(st.integers(0, 255), st.integers(0, 2**32 - 1))
def test_any_alpha_survives_the_luma_range(alpha: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 255, (16, 32, 4), np.uint8)
    picture[..., 3] = alpha
    back = unstacked(as_rgb(stacked(picture)))
    assert back.shape == picture.shape
    assert abs(int(back[5, 5, 3]) - alpha) <= 9
    if alpha in (0, 255):
        assert (back[..., 3] == alpha).all()


def test_opaque_pictures_are_opaque() -> None:
    picture = np.full((32, 32, 3), 90, np.uint8)
    back = unstacked(as_rgb(stacked(picture)))
    assert back[..., 3].min() == 255
    assert np.abs(back[..., :3].astype(int) - picture).max() <= 3


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """Two seconds of a head that moves, RGBA."""
    latents = restore(load_engine("lite", size_px=256).prepare(load_avatar("nia")))
    scene = Scene(latents, "none", alpha=True)
    turns = np.sin(np.arange(50) / 8)
    return [scene.render(Motion(yaw_deg=3 * t, roll_deg=2 * t, shift_x=3 * t))[0] for t in turns]


@pytest.mark.parametrize(("codec", "decoder"), [("vp8+alpha", "libvpx"), ("h264+alpha", "h264")])
def test_the_matte_comes_back_from_the_codec(
    pictures: list[np.ndarray], codec: str, decoder: str
) -> None:
    encoder = open_encoder(codec, 256, FPS, 500_000)
    context = av.CodecContext.create(decoder, "r")
    decoded = []
    for pts, picture in enumerate(pictures):
        packet = encoder.encode(picture, pts, keyframe=False)
        assert packet is not None
        assert packet.codec == codec
        decoded += context.decode(av.Packet(packet.data))
    decoded += context.decode(None)
    assert len(decoded) == len(pictures)
    for frame, picture in list(zip(decoded, pictures, strict=True))[5:]:
        back = unstacked(as_rgb(frame.to_ndarray(format="yuv420p")))
        true = picture[..., 3]
        far = cv2.dilate(true, np.ones((25, 25))) == 0
        assert back[..., 3][far].max() <= 2, "the background stays transparent"
        inside = cv2.erode(true, np.ones((25, 25))) == 255
        assert back[..., 3][inside].min() >= 253
        assert np.abs(back[..., 3].astype(int) - true).mean() < 2.5
        edge = (true > 60) & (true < 200)
        fringe = back[..., :3].astype(int)[edge] - picture[..., :3][edge]
        assert np.abs(fringe.mean(0)).max() < 8, "no foreign colour at the edge"


def test_unknown_rungs_are_refused() -> None:
    for codec in ("av1+alpha", "vp8+beta", "+alpha"):
        with pytest.raises(ValueError, match="no encoder"):
            open_encoder(codec, 128, FPS, 300_000)


def test_the_level_allows_the_stacked_picture() -> None:
    assert h264_level(512, 512, FPS) == "3.1"
    assert h264_level(512, 1024, FPS) == "3.1"
    assert h264_level(1024, 2048, FPS) == "4"
    assert h264_level(2048, 4096, FPS) == "5.1"


def test_each_rung_gets_its_picture() -> None:
    rgba = np.zeros((16, 16, 4), np.uint8)
    rgba[:8] = (200, 100, 50, 255)
    wall = np.full((16, 16, 3), 30, np.uint8)
    pictures = rungs(rgba, wall, ["vp8", "vp8+alpha"])
    assert pictures["vp8+alpha"] is rgba
    assert tuple(pictures["vp8"][0, 0]) == (200, 100, 50)
    assert tuple(pictures["vp8"][15, 0]) == (30, 30, 30)
    opaque = np.ascontiguousarray(rgba[..., :3])
    assert rungs(opaque, None, ["vp8", "vp8+alpha"])["vp8"] is opaque
    half = np.full((4, 4, 4), 128, np.uint8)
    assert abs(int(over(half, wall[:4, :4])[0, 0, 0]) - 79) <= 1
