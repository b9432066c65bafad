"""What stands behind the person: the portrait's own background, blurred, another one, or nothing.

The background stands still while the person moves before it. With the portrait's own, a soft
rim of it moves along with the person, so that no cut can show; with another one the person is
cut out along the matte.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sonic_stream.engines.lite.identity import OFF_GRID, Latents, studio_wall
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.engines.lite.render import Renderer
from sonic_stream.engines.lite.warp import pixels_of
from sonic_stream.media import ByteArray

BLUR_SHARE = 0.022  # of the picture's side
RIM_SHARE = 0.035


@dataclass(frozen=True)
class Cut:
    """`cutout` [K S, K S, 4] for the renderer and what is behind it [S, S, 3]. `straight`: its
    colours are the person's; else they have been multiplied by their coverage."""

    cutout: ByteArray
    behind: ByteArray
    straight: bool


class Scene:
    """An identity before a background (see `StreamOptions.background`).

    An identity without a matte is always drawn whole, with its own background. Raises
    `ValueError` when an image cannot be read.
    """

    def __init__(self, latents: Latents, background: str, *, alpha: bool) -> None:
        cut = cut_of(latents, background, alpha=alpha)
        self._transparent = cut is not None and cut.straight
        self._behind = cut.behind if cut else None
        self._renderer = Renderer(latents, cut.cutout if cut else None)
        self._cell = latents.whole.cell

    @property
    def has_alpha(self) -> bool:
        return self._transparent

    def render(self, motion: Motion) -> tuple[ByteArray, ByteArray | None]:
        """The picture, and the background where the picture is RGBA."""
        picture, person = self._renderer.draw(motion)
        if person is None or self._behind is None:
            return picture, None
        if self._transparent:
            rgba = cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA)
            cv2.mixChannels([person.rgba], [rgba], [3, 3])
            return np.asarray(rgba), self._behind
        for window in person.parts.empty:
            box = pixels_of(window, self._cell)
            picture[box] = self._behind[box]
        for window in person.parts.rims:
            # The cut-out's colours were multiplied by their coverage already.
            box = pixels_of(window, self._cell)
            coverage = cv2.extractChannel(person.rgba[box], 3)
            open_ = cv2.cvtColor(cv2.bitwise_not(coverage), cv2.COLOR_GRAY2RGB)
            shown = cv2.multiply(self._behind[box], open_, scale=1 / 255)
            cv2.add(picture[box], shown, dst=picture[box])
        return picture, None


def cut_of(latents: Latents, background: str, *, alpha: bool) -> Cut | None:
    """None for an identity without a matte. Raises `ValueError` when an image cannot be read."""
    if not latents.matte.size:
        return None
    straight = alpha or background == "none"
    own = background == "keep" and not straight
    coverage = _enlarged(with_rim(latents.matte) if own else latents.matte, latents)
    colours = latents.source if own else _person(latents)
    if straight:  # and none where no sample sees any of it
        near = cv2.dilate(coverage, np.ones((7, 7), np.uint8))
        colours = cv2.copyTo(colours, near)
    else:
        colours = cv2.multiply(colours, cv2.merge([coverage] * 3), scale=1 / 255)
    cutout = np.asarray(cv2.merge([colours, coverage]))
    return Cut(cutout, _behind(latents, background), straight)


def whole_cut(latents: Latents) -> Cut:
    """The portrait as it is, for an identity that cannot be cut out."""
    cover = np.full(latents.source.shape[:2], 255, np.uint8)
    nothing = np.zeros((latents.size_px, latents.size_px, 3), np.uint8)
    return Cut(np.asarray(cv2.merge([latents.source, cover])), nothing, straight=False)


def _person(latents: Latents) -> ByteArray:
    """The person's colours [K S, K S, 3]: the enlarged portrait's own, but at the edge and
    beyond it the foreground's."""
    colours = _enlarged(latents.foreground, latents)
    inside = cv2.erode(latents.matte, np.ones((9, 9), np.uint8)) == 255
    cv2.copyTo(latents.source, _enlarged(inside.astype(np.uint8), latents), colours)
    return colours


def _enlarged(picture: ByteArray, latents: Latents) -> ByteArray:
    """To where the portrait's enlarged pixels lie."""
    factor, size = latents.enlarged, len(latents.source)
    scale = np.array([[factor, 0, OFF_GRID], [0, factor, OFF_GRID]], np.float32)
    return np.asarray(
        cv2.warpAffine(
            picture, scale, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        )
    )


def with_rim(matte: ByteArray) -> ByteArray:
    """The matte [S, S] and a soft rim around it."""
    size = len(matte)
    outside = cv2.distanceTransform((matte < 6).astype(np.uint8), cv2.DIST_L2, 5)
    start, rim = max(size // 100, 2), RIM_SHARE * size
    share = np.clip(1 - (outside - start) / rim, 0, 1)
    return np.asarray(np.round(255 * share * share * (3 - 2 * share)), np.uint8)


def _behind(latents: Latents, background: str) -> ByteArray:
    size = latents.size_px
    if background == "keep":
        return latents.plate
    if background == "blur":
        return np.asarray(cv2.GaussianBlur(latents.plate, (0, 0), BLUR_SHARE * size))
    if background.startswith("#"):
        colour = [int(background[i : i + 2], 16) for i in (1, 3, 5)]
        return np.broadcast_to(np.array(colour, np.uint8), (size, size, 3)).copy()
    if background.startswith("image:"):
        return covering(background.removeprefix("image:"), size)
    return studio_wall(size)


def covering(path: str, size: int) -> ByteArray:
    """The middle of a picture file [size, size, 3]. Raises `ValueError`."""
    picture = cv2.imread(path, cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"the background {path} cannot be read; choose it again")
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = picture[top : top + side, left : left + side]
    method = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return np.asarray(
        cv2.cvtColor(cv2.resize(middle, (size, size), interpolation=method), cv2.COLOR_BGR2RGB)
    )
