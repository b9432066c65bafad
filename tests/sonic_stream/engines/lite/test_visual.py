"""Visual regression: fixed motions of the packaged avatars against small stored pictures.

Meant changes: `python -m benchmarks.pictures --references`, look at them, commit them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.pictures import references
from benchmarks.pictures.poses import compared, viseme
from sonic_stream.avatars import ORDER
from sonic_stream.engines.lite.fields import INDEX


@pytest.mark.parametrize("avatar", ORDER)
def test_the_avatars_look_as_they_did(avatar: str, tmp_path: Path) -> None:
    wrong = references.check(avatar, compared(), tmp_path)
    assert not wrong, wrong


@pytest.mark.parametrize("avatar", ORDER)
def test_a_wrong_viseme_a_lazy_lid_or_a_shifted_head_is_noticed(
    avatar: str, tmp_path: Path
) -> None:
    motions = compared()
    motions["ee"] = viseme("uh")
    motions["oo"] = viseme("oh")
    motions["blink"] = replace(motions["blink"], blink=0.7)
    motions["rest"] = replace(motions["rest"], shift_x=3.0)
    no_smile = motions["happy"].coefficients.copy()
    no_smile[INDEX["smile"]] = 0.0
    motions["happy"] = replace(motions["happy"], coefficients=no_smile)
    told = references.check(avatar, motions, tmp_path)
    for name in ("ee", "oo", "blink", "rest", "happy"):
        assert f"{name}: " in told
    assert "serious: " not in told
    picture = tmp_path / f"{avatar}.png"
    assert str(picture) in told
    assert references.AGAIN in told
    assert picture.stat().st_size > 1000


@pytest.mark.parametrize("avatar", ORDER)
def test_rounding_passes_and_no_two_motions_look_the_same(avatar: str) -> None:
    picture = references.stored(avatar)
    rng = np.random.default_rng(0)
    rounded = np.clip(picture.astype(int) + rng.integers(-1, 2, picture.shape), 0, 255)
    assert not references.differing(rounded.astype(np.uint8), picture)
    side = references.SIDE_PX
    tiles = [picture[:, x : x + side] for x in range(0, picture.shape[1], side)]
    for index, tile in enumerate(tiles):
        for other in tiles[:index]:
            assert references.differing(tile, other)


def test_the_stored_pictures_are_small() -> None:
    sizes = [path.stat().st_size for path in references.FOLDER.iterdir()]
    assert len(sizes) == len(ORDER)
    assert sum(sizes) < 300_000
