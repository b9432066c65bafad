"""Ring plan, sampler and picture geometry."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sonic_stream.engines.sonic import picture
from sonic_stream.engines.sonic.governor import UP_AFTER_S, Governor
from sonic_stream.engines.sonic.ring import RingPlan
from sonic_stream.engines.sonic.sampler import (
    clean_estimate,
    euler_step,
    karras_sigmas,
    scale_input,
)


@given(st.integers(1, 90), st.integers(1, 25), st.data())
def test_each_step_covers_every_frame(frames: int, window: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, window - 1))
    plan = RingPlan(frames, window, overlap, shift=data.draw(st.integers(0, 9)))
    for step in (0, 1, 5):
        windows = list(plan.at_step(step))
        assert len(windows) == plan.windows_per_step
        seen = Counter(frame for indices in windows for frame in indices)
        assert set(seen) == set(range(frames))
        for indices in windows:
            assert all((b - a) % frames == 1 % frames for a, b in pairwise(indices))


def test_the_ring_turns() -> None:
    plan = RingPlan(60)
    assert [w[0] for w in plan.at_step(0)] == [0, 25, 50]
    assert [w[0] for w in plan.at_step(1)] == [53, 18, 43]
    with pytest.raises(ValueError, match="overlap"):
        RingPlan(60, window=5, overlap=5)


@given(st.integers(1, 50))
def test_sigmas_fall_to_zero(steps: int) -> None:
    sigmas = karras_sigmas(steps)
    assert len(sigmas) == steps + 1
    assert sigmas[0] == pytest.approx(700)
    assert sigmas[-1] == 0
    assert (np.diff(sigmas) < 0).all()


@given(st.floats(0.01, 700), st.floats(0, 1))
def test_a_perfect_prediction_lands_on_the_right_noise_level(sigma: float, share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64)
    latents = clean + sigma * noise
    scaled = scale_input(latents, sigma)
    v = (noise - sigma * clean) / (sigma**2 + 1) ** 0.5
    assert torch.allclose(clean_estimate(latents, v, sigma), clean, atol=1e-6)
    assert scaled.std() < 4
    lower = sigma * share
    moved = euler_step(latents.float(), v.float(), sigma, lower)
    assert torch.allclose(moved.double(), clean + lower * noise, atol=2e-4 * max(sigma, 1))


def test_sigmas_may_differ_from_frame_to_frame() -> None:
    latents, v = torch.ones(3, 4, 2, 2), torch.full((3, 4, 2, 2), 0.5)
    sigmas, lower = torch.tensor([5.0, 2.0, 0.5]), torch.tensor([2.0, 0.5, 0.0])
    together = euler_step(latents, v, sigmas[:, None, None, None], lower[:, None, None, None])
    for i in range(3):
        alone = euler_step(latents[i], v[i], float(sigmas[i]), float(lower[i]))
        assert torch.allclose(together[i], alone)


@given(st.integers(64, 4000), st.integers(64, 4000), st.sampled_from([256, 384, 512, 1024]))
def test_sizes_are_multiples_of_64(width: int, height: int, resolution: int) -> None:
    w, h = picture.target_size(width, height, resolution)
    assert w % 64 == h % 64 == 0
    assert min(w, h) == resolution
    assert abs(w / h - width / height) <= 64 / resolution * max(w / h, 1)


@given(
    st.floats(0, 300), st.floats(0, 300), st.floats(20, 200), st.floats(20, 200), st.floats(0, 1)
)
def test_the_crop_is_a_square_in_the_picture(
    left: float, top: float, width: float, height: float, ratio: float
) -> None:
    box = (left, top, left + width, top + height)
    a, b, c, d = picture.crop_square(box, ratio, 520, 510)
    assert 0 <= a < c <= 520
    assert 0 <= b < d <= 510
    assert abs((c - a) - (d - b)) <= 1


def test_late_hops_cost_steps_and_time_brings_them_back() -> None:
    governor = Governor(6)
    told = [governor.hop(0.32, late=late) for late in (True, True, False, True, True, True)]
    assert told == [False] * 5 + [True]
    assert governor.steps == 3
    for _ in range(9):
        governor.hop(0.32, late=True)
    assert governor.steps == 1
    for _ in range(round(UP_AFTER_S / 0.32) + 1):
        governor.hop(0.32, late=False)
    assert governor.steps == 2
    for _ in range(round(3 * UP_AFTER_S / 0.32)):
        governor.hop(0.32, late=False)
    assert governor.steps == 6


@given(st.integers(1, 50), st.lists(st.booleans(), max_size=200))
def test_steps_stay_between_one_and_those_asked_for(steps: int, late: list[bool]) -> None:
    governor = Governor(steps)
    for flag in late:
        before = governor.steps
        assert governor.hop(20.0, late=flag) == (governor.steps != before)
        assert 1 <= governor.steps <= steps
