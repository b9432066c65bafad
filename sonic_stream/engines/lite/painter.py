"""What turns motions into pictures: the interface of the renderers, and the one for a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from sonic_stream.engine import StreamOptions
from sonic_stream.engines.lite.background import Scene
from sonic_stream.engines.lite.identity import restore
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.media import ByteArray, IdentityLatents

# Scenes of one painter, each with the share by which it covers those before it; all of them with
# alpha, or none.
Layers = tuple[tuple[Any, float], ...]


@dataclass(frozen=True)
class Shot:
    """A picture wanted."""

    motion: Motion
    layers: Layers


@dataclass(frozen=True)
class Picture:
    """`pixels` [S, S, 3 or 4]; `behind` [S, S, 3] belongs behind RGBA."""

    pixels: ByteArray
    behind: ByteArray | None


class Painter(Protocol):
    """Stateless between pictures: the same shot gives the same pixels."""

    def scene(self, identity: IdentityLatents, options: StreamOptions) -> Any:
        """What a shot's layer shows: an identity before a background; it has `has_alpha`.

        Raises `ValueError` when the identity is of another kind, or a background cannot be read.
        """
        ...

    def paint(self, shots: Sequence[Shot]) -> list[Picture]: ...


class CpuPainter:
    """One picture after the other, by OpenCV on one core."""

    def scene(self, identity: IdentityLatents, options: StreamOptions) -> Scene:
        return Scene(restore(identity), options.background, alpha=options.alpha)

    def paint(self, shots: Sequence[Shot]) -> list[Picture]:
        return [_painted(shot) for shot in shots]


def _painted(shot: Shot) -> Picture:
    mixed: ByteArray | None = None
    for scene, share in shot.layers:
        pixels, behind = scene.render(shot.motion)
        if mixed is not None:
            pixels = np.asarray(cv2.addWeighted(pixels, share, mixed, 1 - share, 0), np.uint8)
        mixed = pixels
    assert mixed is not None  # a shot has at least one layer
    return Picture(mixed, behind)
