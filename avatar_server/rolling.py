"""Figures of what happened lately, for clients."""

from __future__ import annotations

from collections import deque

import numpy as np


class Rolling:
    """The last `size` values of something."""

    def __init__(self, size: int = 250) -> None:
        self._values: deque[float] = deque(maxlen=size)

    def add(self, value: float) -> None:
        self._values.append(value)

    def percentile(self, q: float) -> float | None:
        """None while nothing was measured."""
        return round(float(np.percentile(self._values, q)), 2) if self._values else None
