"""Smoothing: converges, never overshoots, and does not depend on the step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_stream.smoothing import AttackRelease, Spring, faded, kept, slew

levels = st.floats(-10, 10, width=32)


@given(st.floats(0.001, 5), st.floats(0.001, 1), st.integers(1, 8))
def test_many_short_steps_keep_what_one_long_step_keeps(
    half_life_s: float, dt_s: float, parts: int
) -> None:
    assert kept(half_life_s, dt_s / parts) ** parts == pytest.approx(kept(half_life_s, dt_s))


def test_half_remains_after_the_half_life() -> None:
    assert kept(0.2, 0.2) == 0.5
    assert kept(0.0, 0.04) == 0.0


@given(st.lists(levels, min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_it_stays_between_where_it_was_and_where_it_goes(
    targets: list[float], attack_s: float, release_s: float
) -> None:
    smoother = AttackRelease(attack_s, release_s, 1)
    for target in targets:
        before = float(smoother.value[0])
        after = float(smoother.step(np.array([target], np.float32), 0.04)[0])
        low, high = sorted((before, target))
        assert low - 1e-4 <= after <= high + 1e-4


def test_attack_and_release_differ_and_amount_scales_both() -> None:
    smoother = AttackRelease(0.1, 0.4, 2)
    risen = smoother.step(np.ones(2, np.float32), 0.1).copy()
    assert risen == pytest.approx(0.5)
    assert smoother.step(np.zeros(2, np.float32), 0.4) == pytest.approx(0.25)
    assert smoother.step(np.full(2, 3, np.float32), 0.04, amount=0.0) == pytest.approx(3.0)


def test_a_clone_goes_its_own_way() -> None:
    smoother = AttackRelease(0.1, 0.1, 1)
    smoother.step(np.ones(1, np.float32), 0.1)
    twin = smoother.clone()
    smoother.step(np.zeros(1, np.float32), 0.1)
    assert twin.value == pytest.approx(0.5)


@given(levels, levels, st.floats(0.01, 5))
def test_slewing_is_bounded_and_arrives(value: float, target: float, most: float) -> None:
    for _ in range(int(abs(target - value) / most) + 2):
        moved = slew(value, target, most)
        assert abs(moved - value) <= most + 1e-9
        value = moved
    assert value == target


@given(st.floats(1, 30), st.floats(-5, 5), st.integers(1, 8))
def test_a_spring_arrives_without_overshoot_and_does_not_depend_on_the_step(
    omega: float, target: float, parts: int
) -> None:
    whole, halved = Spring(omega, 1), Spring(omega, 1)
    for _ in range(20):
        whole.step([target], 0.04)
        for _ in range(parts):
            halved.step([target], 0.04 / parts)
        assert halved.value == pytest.approx(whole.value, abs=1e-9)
        assert abs(whole.value[0]) <= abs(target) + 1e-9
    whole.step([target], 4.7 / omega)
    assert whole.value[0] == pytest.approx(target, abs=0.06 * abs(target) + 1e-9)


def test_a_spring_leaves_softly_wherever_its_target_jumps() -> None:
    spring = Spring(10.0, 1)
    path = [float(spring.step([target], 0.02)[0]) for target in [1.0] * 10 + [-1.0] * 10]
    assert np.abs(np.diff(path, 2)).max() < 0.1


@given(st.integers(-60, 60), st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_a_fade_is_the_same_for_any_cutting(start: int, sizes: list[int]) -> None:
    samples = np.ones(sum(sizes), np.float32)
    whole = faded(samples, start, 20)
    assert not whole[max(start + 20, 0) :].any()
    assert np.all(whole[: max(start + 1, 0)] == 1)
    assert np.all(np.diff(whole) <= 0)
    pieces, at = [], 0
    for size in sizes:
        pieces.append(faded(samples[at : at + size], start - at, 20))
        at += size
    assert np.array_equal(np.concatenate(pieces), whole)
