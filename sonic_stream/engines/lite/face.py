"""PURE. Which portrait a stream shows: one scene, or one that fades in over the one before."""

from __future__ import annotations

import copy
from typing import Any

from sonic_stream.engines.lite.painter import Layers

FADE_FRAMES = 5  # from one portrait or background to the next


class Face:
    """Scenes are a painter's."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._before: Face | None = None
        self._faded = 0

    def change(self, scene: Any, *, at_once: bool) -> None:
        """Also in the middle of a change: what fades out then is the mixture.

        Pictures with and without alpha do not fade into each other.
        """
        at_once = at_once or scene.has_alpha != self._scene.has_alpha
        self._before = None if at_once else self.clone()
        self._scene, self._faded = scene, 0

    def clone(self) -> Face:
        twin = copy.copy(self)
        twin._before = self._before.clone() if self._before else None
        return twin

    def next(self) -> Layers:
        """What the next picture shows."""
        if self._before is not None:
            self._faded += 1
            if self._faded > FADE_FRAMES:
                self._before = None
        if self._before is None:
            return ((self._scene, 1.0),)
        return (*self._before.next(), (self._scene, self._faded / (FADE_FRAMES + 1)))
