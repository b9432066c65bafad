"""How high the voice is: exact for voices, silent for what has no pitch."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_stream.engines.lite.network import FRAME_SAMPLES
from sonic_stream.engines.lite.pitch import AHEAD, UNVOICED, WINDOW, Intonation, Pitch, semitones
from sonic_stream.media import FloatArray


def voice(hz: float, samples: int, harmonics: int = 12) -> FloatArray:
    time_s = np.arange(samples) / 16_000
    parts = [np.sin(2 * np.pi * hz * k * time_s + k * k) / k for k in range(1, harmonics)]
    return np.asarray(0.1 * np.sum(parts, 0), np.float32)


@settings(max_examples=60, deadline=None)
@given(hz=st.floats(75, 400), seed=st.integers(0, 1000))
def test_a_voice_is_placed_within_a_third_of_a_semitone(hz: float, seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.01, WINDOW)
    height = semitones((voice(hz, WINDOW) + noise).astype(np.float32))
    assert abs(height - 12 * math.log2(hz / 100)) < 0.34


@pytest.mark.parametrize("loud", [0.0, 1e-4, 0.01, 0.3])
def test_noise_and_silence_have_no_pitch(loud: float) -> None:
    noise = loud * np.random.default_rng(0).standard_normal((60, WINDOW))
    assert sum(not math.isnan(semitones(row.astype(np.float32))) for row in noise) <= 1


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 6400), max_size=10))
def test_any_chunking_gives_the_same_heights(cuts: list[int]) -> None:
    samples = np.concatenate([voice(120, 3200), voice(170, 3200)])
    whole, chunked = Pitch(), Pitch()
    whole.hear(samples)
    for piece in np.split(samples, sorted(cuts)):
        chunked.hear(piece)
    for _ in range(len(samples) // FRAME_SAMPLES - AHEAD):
        one, two = whole.next(), chunked.next()
        assert one == two or (math.isnan(one) and math.isnan(two))


def test_a_frame_gets_the_height_that_its_look_ahead_allows() -> None:
    pitch = Pitch()
    pitch.hear(np.concatenate([np.zeros(5 * FRAME_SAMPLES, np.float32), voice(200, 6400)]))
    heights = [pitch.next() for _ in range(8)]
    assert math.isnan(heights[2])  # knows of frames 0 to 4
    assert abs(heights[4] - 12) < 0.5


def test_heights_are_the_speakers_own_and_octaves_are_mended() -> None:
    low, high = Intonation(), Intonation()
    melody = [0.0, 1, 3, 2, 0, -2, 1, 4]
    below, above = ([each.step(base + m) for m in melody] for each, base in ((low, 2), (high, 14)))
    assert np.allclose(below, above)
    assert abs(low.step(2.0 + 12) - low.step(2.0)) < 1.0
    assert math.isnan(low.step(UNVOICED))
