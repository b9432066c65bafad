"""Features: any chunking gives the same bits, later sound changes nothing, level hardly matters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_stream.engines.lite.features import BANDS, HOP, ROW, Features, mel_matrix
from sonic_stream.media import FloatArray


def sound(samples: int, seed: int = 0) -> FloatArray:
    """A tone gliding through noise."""
    time_s = np.arange(samples) / 16_000
    noise = np.random.default_rng(seed).standard_normal(samples)
    return np.asarray(0.3 * np.sin(900 * time_s**1.5) + 0.02 * noise, np.float32)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 4000), max_size=12))
def test_any_chunking_gives_the_same_bits(cuts: list[int]) -> None:
    samples = sound(4000)
    whole = Features().push(samples)
    chunked = Features()
    parts = [chunked.push(piece) for piece in np.split(samples, sorted(cuts))]
    assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize(("samples", "rows"), [(0, 0), (159, 0), (160, 1), (319, 1), (1600, 10)])
def test_a_row_is_due_with_every_hop(samples: int, rows: int) -> None:
    assert Features().push(sound(samples)).shape == (rows, ROW)


def test_later_sound_changes_no_earlier_row() -> None:
    samples = sound(8000)
    other = samples.copy()
    other[20 * HOP :] = 0.5
    first, second = Features().push(samples), Features().push(other)
    assert np.array_equal(first[:20], second[:20])
    assert not np.array_equal(first[20], second[20])


def test_the_level_hardly_matters() -> None:
    samples = sound(16_000)
    loud, quiet = Features().push(samples), Features().push(samples * np.float32(0.25))
    assert np.abs(loud[20:, :-1] - quiet[20:, :-1]).max() < 0.05
    assert np.all(loud[20:, -1] > quiet[20:, -1])  # the last value tells the level


def test_a_clone_goes_its_own_way() -> None:
    front = Features()
    front.push(sound(1000))
    twin = front.clone()
    expected = front.push(sound(1000, seed=1))
    front.push(sound(3000, seed=2))
    assert np.array_equal(twin.push(sound(1000, seed=1)), expected)


def test_reset_forgets() -> None:
    front = Features()
    first = front.push(sound(1234))
    front.reset()
    assert np.array_equal(front.push(sound(1234)), first)


def test_every_band_hears_something_and_sums_to_one() -> None:
    mel = mel_matrix()
    assert mel.shape == (BANDS, 257)
    assert np.allclose(mel.sum(1), 1, atol=1e-6)


def test_silence_is_finite() -> None:
    assert np.isfinite(Features().push(np.zeros(16_000, np.float32))).all()
