"""PURE. Pictures side by side with words under them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.pictures.voice import Spoken
from sonic_stream.media import ByteArray

INK, FAINT, PAPER, BLUE = (28, 28, 40), (120, 120, 140), (250, 250, 252), (91, 91, 214)
GAP_PX, CAPTION_PX, HEADING_PX = 8, 22, 34
WAVE_PX, WORDS_PX = 54, 24


def contact_sheet(groups: dict[str, dict[str, ByteArray]], columns: int) -> Image.Image:
    """`groups`: pictures of one size by heading and caption."""
    side = next(iter(next(iter(groups.values())).values())).shape[0]
    rows = sum(-(-len(group) // columns) for group in groups.values())
    width = GAP_PX + columns * (side + GAP_PX)
    height = GAP_PX + rows * (side + CAPTION_PX + GAP_PX) + len(groups) * HEADING_PX
    sheet = Image.new("RGB", (width, height), PAPER)
    draw, y = ImageDraw.Draw(sheet), GAP_PX
    for heading, group in groups.items():
        draw.text((GAP_PX + 2, y), heading, INK, _font(22))
        y += HEADING_PX
        for index, (caption, picture) in enumerate(group.items()):
            x = GAP_PX + index % columns * (side + GAP_PX)
            if index and index % columns == 0:
                y += side + CAPTION_PX + GAP_PX
            sheet.paste(Image.fromarray(picture), (x, y))
            draw.text((x + side / 2, y + side + 2), caption, FAINT, _font(15), anchor="ma")
        y += side + CAPTION_PX + GAP_PX
    return sheet


def filmstrip(
    pictures: list[ByteArray], times_s: list[float], spoken: Spoken, columns: int
) -> Image.Image:
    """Pictures shown at evenly spaced `times_s` in rows; below each row its sound and words."""
    side, step_s = pictures[0].shape[0], times_s[1] - times_s[0]
    rows = -(-len(pictures) // columns)
    row_px = side + WAVE_PX + WORDS_PX + GAP_PX
    strip = Image.new("RGB", (columns * side, rows * row_px), PAPER)
    draw = ImageDraw.Draw(strip)
    for row in range(rows):
        y, first_s = row * row_px, times_s[row * columns] - step_s / 2
        for column, picture in enumerate(pictures[row * columns : (row + 1) * columns]):
            strip.paste(Image.fromarray(picture), (column * side, y))
        span_s = step_s * columns
        _wave(draw, spoken, (first_s, span_s), (columns * side, y + side))
        for word in spoken.words:
            x = (word.start_s - first_s) / span_s * columns * side
            if 0 <= x < columns * side - 20:
                draw.line([(x, y + side + 4), (x, y + row_px - GAP_PX)], FAINT)
                draw.text((x + 4, y + side + WAVE_PX), word.text, INK, _font(17))
    return strip


def _wave(
    draw: ImageDraw.ImageDraw,
    spoken: Spoken,
    span: tuple[float, float],
    box: tuple[int, int],
) -> None:
    (first_s, length_s), (width, top) = span, box
    middle = top + WAVE_PX / 2
    loudest = float(np.abs(spoken.samples).max())
    for x in range(width):
        start, end = (int((first_s + length_s * (x + i) / width) * spoken.rate_hz) for i in (0, 1))
        piece = spoken.samples[max(start, 0) : max(end, 0)]
        if len(piece):
            high = float(np.abs(piece).max()) / loudest * (WAVE_PX / 2 - 4)
            draw.line([(x, middle - high), (x, middle + high)], BLUE)


def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)
