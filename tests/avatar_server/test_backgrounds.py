"""Background images: safe decoding in a child, resolution of a client's choice."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from avatar_server.backgrounds import Backgrounds, BadBackground
from avatar_server.config import EngineSection
from avatar_server.errors import BadMessage
from avatar_server.portraits import Portraits, PreparedPortrait
from avatar_server.protocol import Set, Settings, parse


def portrait(*, matte: bool) -> PreparedPortrait:
    return PreparedPortrait("a", "Ann", Path("i"), Path("t"), {}, built_in=False, matte=matte)


def png(width: int, height: int, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height), "teal").save(buffer, "PNG")
    return buffer.getvalue()


async def test_an_image_is_decoded_in_a_child_and_kept(tmp_path: Path) -> None:
    portraits = Portraits(EngineSection(size_px=128), tmp_path / "cache", 5)
    backgrounds = Backgrounds(keep=1)
    ident = await backgrounds.add(png(900, 600, "RGBA"), portraits)
    resolved = backgrounds.resolved(f"image:{ident}", portrait(matte=True))
    picture = cv2.imread(resolved.removeprefix("image:"))
    assert picture.shape == (128, 192, 3)
    assert np.abs(picture[5, 5].astype(int) - (128, 128, 0)).max() <= 1
    other = await backgrounds.add(png(80, 80), portraits)
    assert other != ident
    with pytest.raises(BadBackground, match="upload it again"):
        backgrounds.resolved(f"image:{ident}", portrait(matte=True))


@pytest.mark.parametrize("data", [b"", b"<svg/>", png(90, 90)[:60]])
async def test_what_is_no_picture_is_refused_in_words(data: bytes, tmp_path: Path) -> None:
    portraits = Portraits(EngineSection(size_px=128), tmp_path / "cache", 5)
    with pytest.raises(BadBackground, match="picture"):
        await Backgrounds(1).add(data, portraits)
    assert not list((tmp_path / "cache").glob("*"))


def test_without_a_matte_the_background_is_kept() -> None:
    backgrounds = Backgrounds(1)
    assert backgrounds.resolved("keep", portrait(matte=False)) == "keep"
    for wanted in ("none", "blur", "#102030", "image:x"):
        with pytest.raises(BadBackground, match="must be kept") as refused:
            backgrounds.resolved(wanted, portrait(matte=False))
        assert refused.value.code == "no_matte"
    assert backgrounds.resolved("#102030", portrait(matte=True)) == "#102030"


def test_a_background_is_a_setting_like_others() -> None:
    message = parse('{"type": "set", "background": "none"}')
    assert isinstance(message, Set)
    assert message.applied_to(Settings()).background == "none"
    for wrong in ("green", "image:", "image:../../etc/passwd", "#fff", "none\n"):
        with pytest.raises(BadMessage, match="background"):
            parse(Set.model_construct(type="set", background=wrong).model_dump_json())
