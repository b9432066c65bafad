"""How far apart the two renderers may be, and how that is told."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

import numpy as np

from sonic_stream.engines.lite.painter import Picture

# Levels of 255. Arithmetic rounds otherwise in places: one level then, and on a hard edge that
# is sampled a 32nd of a pixel away some more.
MOST, MEAN = 8, 0.01


def no_card() -> bool:
    if find_spec("torch") is None:
        return True
    import torch

    return not torch.cuda.is_available()


def check_alike(ours: Iterable[Picture], theirs: Iterable[Picture]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.pixels.shape == other.pixels.shape
        difference = np.abs(one.pixels.astype(int) - other.pixels)
        assert difference.max() <= MOST
        assert difference.mean() <= MEAN
        assert (one.behind is None) == (other.behind is None)
        if one.behind is not None and other.behind is not None:
            assert np.array_equal(one.behind, other.behind)
