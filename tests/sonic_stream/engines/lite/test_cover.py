"""The windows of a moved cut-out: all that it reaches, all that it leaves open, no pixel missed."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_stream.engines.lite.cover import Cover, Parts, Window

SIZE, CELL = 128, 4
NODES = SIZE // CELL
Flags = npt.NDArray[np.bool_]


def pixels(windows: list[Window]) -> npt.NDArray[np.int_]:
    """How many of the windows hold each pixel [S, S]."""
    count = np.zeros((SIZE, SIZE), int)
    for rows, columns in windows:
        box = (
            slice(rows.start * CELL, rows.stop * CELL),
            slice(columns.start * CELL, columns.stop * CELL),
        )
        count[box] += 1
    return count


def blob(seed: int) -> npt.NDArray[np.uint8]:
    """A soft shape, now and then with holes, now and then touching the border."""
    noise = np.random.default_rng(seed).normal(0, 1, (SIZE, SIZE)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 14)
    return np.clip(127 + 400 * soft / np.abs(soft).max(), 0, 255).astype(np.uint8)


def moved(coverage: npt.NDArray[np.uint8], seed: int) -> tuple[npt.NDArray[np.uint8], Parts]:
    """A cut-out under a smooth field, and its parts."""
    chance = np.random.default_rng(seed)
    field = chance.normal(0, 1, (NODES, NODES, 2)).astype(np.float32)
    field = cv2.GaussianBlur(field, (0, 0), 5) * 20 + chance.normal(0, 2, 2).astype(np.float32)
    nodes = np.dstack(np.meshgrid(np.arange(NODES), np.arange(NODES))).astype(np.float32)
    shift = cv2.resize(field, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    at = np.dstack(np.meshgrid(np.arange(SIZE), np.arange(SIZE))).astype(np.float32) + shift
    seen = cv2.remap(coverage, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(seen), Cover(coverage, CELL).parts(nodes + field / CELL)


@given(st.integers(0, 10_000))
def test_no_pixel_is_missed(seed: int) -> None:
    seen, parts = moved(blob(seed), seed + 1)
    reached, rims, empty = (pixels(part) for part in (parts.seen, parts.rims, parts.empty))
    assert (reached + empty == 1).all()
    assert rims.max(initial=0) <= 1
    assert not seen[empty == 1].any()
    assert (seen[(reached == 1) & (rims == 0)] == 255).all()


@pytest.mark.parametrize("level", [0, 255])
def test_nothing_and_everything(level: int) -> None:
    _, parts = moved(np.full((SIZE, SIZE), level, np.uint8), 3)
    assert not parts.rims
    assert (pixels(parts.seen) == level // 255).all()


def test_little_more_than_needed_is_worked_on() -> None:
    coverage = np.zeros((SIZE, SIZE), np.uint8)
    cv2.circle(coverage, (64, 64), 40, 255, -1)
    at = np.dstack(np.meshgrid(np.arange(SIZE), np.arange(SIZE))).astype(np.float32)
    parts = Cover(coverage, 1).parts(at)
    seen, rims = (sum(_area(window) for window in part) for part in (parts.seen, parts.rims))
    assert seen < 1.5 * (coverage > 0).sum()
    assert rims < 0.6 * seen


def _area(window: Window) -> int:
    rows, columns = window
    return (rows.stop - rows.start) * (columns.stop - columns.start)
