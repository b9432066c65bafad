"""Sampling and scaling as OpenCV does them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_stream.engines.lite.gpu.sampling import enlarged, in_bytes, runs, sample, stacked

BORDERS = {
    "border": cv2.BORDER_REPLICATE,
    "reflection": cv2.BORDER_REFLECT_101,
    "zeros": cv2.BORDER_CONSTANT,
}


@given(st.integers(0, 1000), st.integers(2, 40), st.integers(2, 40), st.sampled_from([*BORDERS]))
@settings(deadline=None)
def test_sampling_is_that_of_remap(seed: int, height: int, width: int, border: str) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (height, width, 3), np.uint8)
    at = rng.uniform(-3, 3 + max(height, width), (9, 11, 2)).astype(np.float32)
    at = np.minimum(at, np.array([width + 2, height + 2], np.float32))  # mirrored once
    theirs = cv2.remap(picture, at, None, cv2.INTER_LINEAR, borderMode=BORDERS[border])
    source = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    ours = sample(source, torch.from_numpy(at)[None], border)[0].permute(1, 2, 0)
    assert np.abs(ours.numpy() - theirs).max() < 0.53  # theirs are rounded
    assert np.abs(in_bytes(ours).numpy() - theirs).max() <= 1


@pytest.mark.parametrize("cell", [2, 4, 8])
def test_node_grids_are_enlarged_as_by_resize(cell: int) -> None:
    grid = np.random.default_rng(cell).standard_normal((7, 9)).astype(np.float32)
    theirs = cv2.resize(grid, (9 * cell, 7 * cell), interpolation=cv2.INTER_LINEAR)
    ours = enlarged(torch.from_numpy(grid)[None, None], cell)[0, 0].numpy()
    assert np.abs(ours - theirs).max() < 1e-5


def test_neighbours_that_are_the_same_are_taken_together() -> None:
    one, two = torch.zeros(2), torch.ones(2)
    found = runs([one, one, two, one])
    assert [item is one for item, _ in found] == [True, False, True]
    assert [part for _, part in found] == [slice(0, 2), slice(2, 3), slice(3, 4)]
    assert stacked([one, one]).stride(0) == 0
    assert torch.equal(stacked([one, two]), torch.stack([one, two]))
