"""Pictures of strangers: safe decoding, judgement, crop, preparation in a child."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sonic_stream.avatars import list_avatars, load_avatar
from sonic_stream.engine import Portrait
from sonic_stream.media import IdentityLatents
from sonic_stream.portrait import load_portrait
from sonic_stream.portrait.crop import crop, square
from sonic_stream.portrait.decode import PortraitError, decode
from sonic_stream.portrait.faces import Face, open_finder
from sonic_stream.portrait.fitness import judge, yaw_deg


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def corner_picture() -> Image.Image:
    """White, with a red upper left quarter."""
    picture = Image.new("RGB", (128, 96), "white")
    picture.paste("red", (0, 0, 64, 48))
    return picture


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", "RGB"), ("PNG", "L"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "I;16"), ("JPEG", "RGB"),
     ("JPEG", "L"), ("JPEG", "CMYK"), ("WEBP", "RGB"), ("WEBP", "RGBA")],
)  # fmt: skip
def test_every_kind_of_picture_becomes_rgba(kind: str, mode: str) -> None:
    picture = corner_picture()
    if mode == "I;16":
        grey = np.asarray(picture.convert("L"), np.uint16) * 257
        picture = Image.fromarray(grey)
    else:
        picture = picture.convert(mode)
    rgba = decode(encoded(picture, kind))
    assert rgba.shape == (96, 128, 4)
    assert rgba[90, 120, :3].min() > 240
    assert rgba[..., 3].min() == 255
    assert rgba[10, 10, 1] < 130


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_cameras_orientation_is_applied(orientation: int) -> None:
    upright = np.asarray(corner_picture())
    turned = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.swapaxes(0, 1), 6: np.rot90(upright, 1), 7: np.rot90(upright[::-1], 1),
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(turned)), "JPEG", exif=exif, quality=95)
    rgba = decode(data)
    assert rgba.shape == (96, 128, 4)
    assert rgba[10, 10, 1] < 60, "the red corner is where it belongs"


def bomb() -> bytes:
    """A PNG header that promises 100 000 x 100 000 pixels."""
    header = (100_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        for kind, body in chunks
    )


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "not_a_picture"), (b"GIF89a" + bytes(100), "not_a_picture"),
     (b"<svg/>", "not_a_picture"), (bomb(), "too_many_pixels"),
     (encoded(corner_picture())[:200], "damaged"),
     (encoded(Image.new("RGB", (20, 20))), "too_small"), (bytes(12_000_001), "too_large")],
)  # fmt: skip
def test_bad_files_are_refused_with_advice(data: bytes, code: str) -> None:
    with pytest.raises(PortraitError) as refused:
        decode(data)
    assert refused.value.code == code
    assert refused.value.advice


@pytest.fixture(scope="module")
def mira() -> Portrait:
    return load_avatar("mira")


def codes(portrait: Portrait, landmarks: np.ndarray | None = None, others: int = 0) -> list[str]:
    points = portrait.landmarks if landmarks is None else landmarks.astype(np.float32)
    report = judge(portrait.rgba, [Face(points)] * (1 + others))
    return [reason.code for reason in report.reasons]


def test_the_packaged_avatars_are_fit_and_complete() -> None:
    for avatar in list_avatars():
        portrait = load_avatar(avatar.id)
        assert portrait.rgba.shape == (1024, 1024, 4)
        assert portrait.rgba[0, 0, 3] == 0, "transparent around"
        assert 0 < portrait.landmarks[:, :2].min() < portrait.landmarks[:, :2].max() < 1024
        assert codes(portrait) == []
    with pytest.raises(ValueError, match="mira"):
        load_avatar("../../etc")


def test_each_reason_is_found(mira: Portrait) -> None:
    assert judge(mira.rgba, []).reasons[0].code == "no_face"
    assert codes(mira, others=1) == ["several_faces"]
    small = mira.landmarks * 0.15
    assert "too_small" in codes(mira, small)
    centre = mira.landmarks.mean(0)
    for angle, code in ((30, "turned"), (60, "turned_too_far")):
        sin, cos = np.sin(np.radians(angle)), np.cos(np.radians(angle))
        turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        turned = (mira.landmarks - centre) @ turn.T + centre
        assert abs(abs(yaw_deg(turned.astype(np.float32))) - angle) < 5
        assert code in codes(mira, turned)
    opened = mira.landmarks.copy()
    opened[14, 1] += 80
    assert "mouth_wide_open" in codes(mira, opened)
    assert "cut_off" in codes(mira, mira.landmarks + np.array([600, 0, 0], np.float32))
    dark = Portrait((mira.rgba * np.array([0.05, 0.05, 0.05, 1])).astype(np.uint8),
                    mira.landmarks, "dark")  # fmt: skip
    assert "too_dark" in codes(dark)


def test_sunglasses_stop_the_blinking(mira: Portrait) -> None:
    rgba = mira.rgba.copy()
    for eye in ((33, 133), (362, 263)):
        x0, x1 = sorted(int(mira.landmarks[i, 0]) for i in eye)
        y = int(mira.landmarks[eye[0], 1])
        rgba[y - 50 : y + 70, x0 - 25 : x1 + 25, :3] = 12
    report = judge(rgba, [Face(mira.landmarks)])
    assert [reason.code for reason in report.reasons] == ["eyes_covered"]
    assert report.ok
    assert not report.blink


@given(st.floats(0, 900), st.floats(0, 900), st.floats(60, 600), st.floats(0, 1))
def test_the_crop_keeps_the_face_and_the_landmarks_on_it(
    x: float, y: float, size: float, expand: float
) -> None:
    face = np.array([[x, y, 0], [x + size, y + size, 0]], np.float32)
    _, _, side = square(face, (900, 1200), expand)
    assert side <= 1200
    rgba = np.zeros((900, 1200, 4), np.uint8)
    _, moved = crop(rgba, face, 256, expand)
    assert np.ptp(moved[:, 0]) == pytest.approx(256 * size / side, rel=1e-3)


def child(*arguments: str) -> dict[str, object]:
    command = [sys.executable, "-m", "sonic_stream.prepare", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    result: dict[str, object] = json.loads(done.stdout)
    return result


def test_an_avatar_is_prepared_once_and_then_found(tmp_path: Path) -> None:
    base = ["--engine", "lite", "--size", "128", "--cache", str(tmp_path)]
    first = child(*base, "--avatar", "theo")
    assert first["ok"]
    path = Path(str(first["identity"]))
    assert IdentityLatents.load(path).size_px == 128
    written = path.stat().st_mtime_ns
    assert child(*base, "--avatar", "theo") == first
    assert path.stat().st_mtime_ns == written
    path.write_bytes(b"damaged")
    assert child(*base, "--avatar", "theo") == first
    assert IdentityLatents.load(path).engine == "lite"
    other = child("--engine", "lite", "--size", "144", "--cache", str(tmp_path), "--avatar", "theo")
    assert other["fingerprint"] != first["fingerprint"]


def test_a_strangers_file_gets_an_answer_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(b"nonsense")
    result = child(
        "--engine", "lite", "--size", "128", "--cache", str(tmp_path), "--image", str(path)
    )
    assert result["ok"] is False
    assert result["error"]["code"] == "not_a_picture"  # type: ignore[index]


@pytest.mark.filterwarnings("ignore")  # of the face finder's own libraries
def test_a_picture_is_found_judged_and_cropped() -> None:
    pytest.importorskip("mediapipe", reason="the extra [portraits] is not installed")
    avatar = load_avatar("nia")
    on_wall = Image.new("RGB", (1500, 1100), (190, 195, 200))
    on_wall.paste(Image.fromarray(avatar.rgba), (300, 40), Image.fromarray(avatar.rgba[..., 3]))
    portrait, report = load_portrait(encoded(on_wall, "JPEG", quality=92), open_finder())
    assert report.ok
    assert portrait is not None
    assert portrait.rgba.shape == (1024, 1024, 4)
    width = np.ptp(portrait.landmarks[:, 0])
    assert 350 < width < 650
    blank, refusal = load_portrait(encoded(Image.new("RGB", (400, 400), "gray")), open_finder())
    assert blank is None
    assert refusal.reasons[0].code == "no_face"
