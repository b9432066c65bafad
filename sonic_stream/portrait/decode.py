"""Untrusted picture files to pixels: few formats, known size first, upright."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sonic_stream.media import ByteArray

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_BYTES = 12_000_000
MAX_PIXELS = 40_000_000
MIN_SIDE = 64


class PortraitError(Exception):
    """`code` for programs, `advice` for people."""

    def __init__(self, code: str, message: str, advice: str) -> None:
        super().__init__(message)
        self.code = code
        self.advice = advice


def decode(data: bytes) -> ByteArray:
    """PNG, JPEG or WebP -> uint8 [H, W, 4] RGBA, EXIF orientation applied, first frame only.

    The header's size is checked before a pixel is decoded. Raises `PortraitError`.
    """
    if len(data) > MAX_BYTES:
        raise PortraitError(
            "too_large", f"The file is larger than {MAX_BYTES // 10**6} MB.", "Use a smaller one."
        )
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise PortraitError(
                    "too_many_pixels", f"The picture has {width}×{height} pixels.",
                    f"Scale it down to at most {MAX_PIXELS // 10**6} megapixels.",
                )  # fmt: skip
            if min(width, height) < MIN_SIDE:
                raise PortraitError(
                    "too_small", f"The picture has only {width}×{height} pixels.",
                    "Use a larger one; 512 pixels and more look good.",
                )  # fmt: skip
            upright = ImageOps.exif_transpose(picture)
            if upright.mode.startswith(("I", "F")):  # 16 bits: keep the upper eight
                levels = np.asarray(upright, np.float64)
                peak = 65535 if levels.max() > 255 else 255
                upright = Image.fromarray((levels * (255 / peak)).clip(0, 255).astype(np.uint8))
            return np.asarray(upright.convert("RGBA")).copy()
    except Image.DecompressionBombError as error:
        raise PortraitError(
            "too_many_pixels", "The picture is far too large.", "Scale it down."
        ) from error
    except UnidentifiedImageError as error:
        raise PortraitError(
            "not_a_picture", "This is no PNG, JPEG or WebP picture.", "Choose another file."
        ) from error
    except (OSError, ValueError, SyntaxError) as error:
        raise PortraitError(
            "damaged", "The picture file is damaged.", "Save it again, or choose another one."
        ) from error
