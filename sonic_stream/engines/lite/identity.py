"""A portrait prepared for rendering: computed once, cached, shared by all its streams."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sonic_stream.engine import Portrait
from sonic_stream.engines.lite import tree
from sonic_stream.engines.lite.eyes import Eye, build_eye
from sonic_stream.engines.lite.fields import FaceModel, Patch, field_cell, make_patch
from sonic_stream.engines.lite.geometry import (
    SampledDepth,
    dense_depth,
    head_frame,
)
from sonic_stream.engines.lite.interior import Interior, build_interior
from sonic_stream.engines.lite.lip_edges import mouth_frame
from sonic_stream.engines.lite.palette import take_palette
from sonic_stream.engines.lite.shading import Folds, build_folds
from sonic_stream.media import ByteArray, FloatArray, IdentityLatents, fingerprint
from sonic_stream.portrait.matte import fill, foreground, plate

VERSION = 12  # of the preparation: raise it when an old cached identity must not be used
# Samples of a still picture fall between the enlarged copy's pixels as those of a moving one do
# on the average: both are equally sharp, and leaving rest does not blur.
OFF_GRID = 0.35
MAX_YAW_DEG = 42.0  # beyond this half the mouth is hidden, and only the head is moved


@dataclass(frozen=True)
class Latents:
    """`source` [K S, K S, 3]: the portrait enlarged K times and sharpened a little, so that
    linear sampling of it stays crisp, `OFF_GRID` of its pixels to the right and down.
    `matte` [S, S]: the person's coverage, `foreground` and `plate` [S, S, 3]: the person's
    colours alone and the background alone; all three empty where the person could not be told
    from the background."""

    size_px: int
    enlarged: int
    source: ByteArray
    matte: ByteArray
    foreground: ByteArray
    plate: ByteArray
    axes: FloatArray
    origin: FloatArray
    pivot: FloatArray
    hinge: float
    half_width: float
    open_at_rest: bool
    can_speak: bool
    can_blink: bool
    whole: Patch
    mouth: Patch
    eyes: dict[str, Eye]
    interior: Interior
    folds: Folds


def prepare(portrait: Portrait, size_px: int) -> IdentityLatents:
    """Portrait (any size) -> identity for pictures of `size_px`."""
    rgba, landmarks = _resized(portrait, size_px)
    picture = _on_backdrop(rgba)
    head = head_frame(landmarks)
    cell = field_cell(size_px)
    nodes = (np.arange(size_px // cell) + 0.5) * cell - 0.5
    grid_x, grid_y = (axis.astype(np.float32) for axis in np.meshgrid(nodes, nodes))
    surface = SampledDepth(head, dense_depth(landmarks, head, grid_x, grid_y), cell)
    mouth = mouth_frame(picture, landmarks, head, surface)
    has_matte = portrait.matte is not None
    face = FaceModel(landmarks, surface, mouth, size_px, portrait.glasses, has_matte, portrait.eyes)
    enlarged = 3 if size_px <= 640 else 2
    source = enlarge(picture, enlarged)
    palette = take_palette(picture, face)
    around_mouth = make_patch(face, _mouth_box(face), cell // 2, ("upper", "lower"))
    latents = Latents(
        size_px=size_px,
        enlarged=enlarged,
        source=source,
        **_layers(portrait, rgba, picture),
        axes=head.axes,
        origin=head.origin,
        pivot=head.pivot,
        hinge=head.hinge,
        half_width=mouth.half_width,
        open_at_rest=mouth.open_at_rest,
        can_speak=abs(head.yaw_deg) < MAX_YAW_DEG,
        can_blink=portrait.blink,
        whole=make_patch(face, (0, 0, size_px, size_px), cell, ("whole",)),
        mouth=around_mouth,
        eyes={side: build_eye(picture, source, face, palette, side) for side in ("right", "left")},
        interior=build_interior(picture, face, palette),
        folds=build_folds(around_mouth, mouth, palette),
    )
    drawn = (portrait.blink, portrait.glasses, has_matte, portrait.eyes)
    mark = fingerprint("lite", VERSION, size_px, portrait.content, *drawn)
    meta = {"matte": "yes" if has_matte else "no"}
    return IdentityLatents("lite", size_px, mark, tree.pack(latents), meta)


def restore(identity: IdentityLatents) -> Latents:
    """Raises `ValueError` when it was prepared for another engine or version."""
    if identity.engine != "lite":
        raise ValueError(f"this identity was prepared for {identity.engine!r}, not for lite")
    try:
        return tree.unpack(Latents, dict(identity.tensors.items()))
    except KeyError as error:
        raise ValueError(f"this identity lacks {error}; prepare the portrait again") from error


def _resized(portrait: Portrait, size_px: int) -> tuple[ByteArray, FloatArray]:
    scale = size_px / portrait.rgba.shape[0]
    if scale == 1:
        return portrait.rgba, portrait.landmarks
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    # Premultiplied, so that the colour of transparent pixels cannot bleed in.
    alpha = portrait.rgba[..., 3:].astype(np.float32) / 255
    stacked = np.dstack([portrait.rgba[..., :3] * alpha, alpha * 255])
    small = np.clip(cv2.resize(stacked, (size_px, size_px), interpolation=method), 0, 255)
    colour = small[..., :3] / np.maximum(small[..., 3:] / 255, 1e-3)
    rgba = np.dstack([np.clip(colour, 0, 255), small[..., 3]])
    return np.round(rgba).astype(np.uint8), portrait.landmarks * np.float32(scale)


def _layers(portrait: Portrait, rgba: ByteArray, picture: ByteArray) -> dict[str, ByteArray]:
    """Matte, foreground and plate at the picture's size; see `Latents`."""
    if portrait.matte is None:
        none = np.zeros((0, 0, 3), np.uint8)
        return {"matte": none[..., 0], "foreground": none, "plate": none}
    size = (len(picture), len(picture))
    method = cv2.INTER_AREA if size < portrait.matte.shape else cv2.INTER_LINEAR
    matte = np.asarray(cv2.resize(portrait.matte, size, interpolation=method))
    if rgba[..., 3].min() < 255:  # cut out already: its colours are known, and so is the wall
        own = fill(rgba[..., :3].astype(np.float32) / 255, (rgba[..., 3] > 8).astype(np.float32))
        colours = np.round(np.clip(own, 0, 1) * 255).astype(np.uint8)
        wall = studio_wall(len(rgba))
        return {"matte": matte, "foreground": colours, "plate": wall}
    return {
        "matte": matte,
        "foreground": foreground(picture, matte),
        "plate": plate(picture, matte),
    }


def _on_backdrop(rgba: ByteArray) -> ByteArray:
    """Transparent portraits stand before a soft studio wall."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    blended = rgba[..., :3] * alpha + studio_wall(len(rgba)) * (1 - alpha)
    return np.asarray(np.round(np.clip(blended, 0, 255)), np.uint8)


def studio_wall(size: int) -> ByteArray:
    """A neutral background [size, size, 3], lit from behind the head."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    glow = np.exp(-(((x - 0.5) / 0.55) ** 2) - ((y - 0.36) / 0.5) ** 2)[..., None]
    wall = np.array([150, 163, 178]) + glow * np.array([74, 68, 60])
    wall += np.random.default_rng(0).normal(0, 0.8, wall.shape)  # against banding
    return np.asarray(np.round(np.clip(wall, 0, 255)), np.uint8)


def enlarge(picture: ByteArray, factor: int) -> ByteArray:
    size = factor * len(picture)
    scale = np.array([[factor, 0, OFF_GRID], [0, factor, OFF_GRID]], np.float32)
    large = cv2.warpAffine(
        picture, scale, (size, size), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101
    )
    amount = 0.18 if factor == 3 else 0.22
    soft = cv2.GaussianBlur(large, (0, 0), 0.9 * factor)
    return np.asarray(cv2.addWeighted(large, 1 + amount, soft, -amount, 0))


def _mouth_box(face: FaceModel) -> tuple[int, int, int, int]:
    half, size = face.mouth.half_width, face.size_px
    step = 2 * field_cell(size)
    centre = (face.landmarks[61, :2] + face.landmarks[291, :2]) / 2
    top = face.landmarks[2, 1] - 0.25 * half

    def snap(value: float) -> int:
        return int(np.clip(round(float(value) / step) * step, 0, size))

    x0, x1 = snap(centre[0] - 2.05 * half), snap(centre[0] + 2.05 * half)
    y0, y1 = snap(top), snap(centre[1] + 2.3 * half)
    return x0, y0, x1 - x0, y1 - y0
