"""The rig: what the channels say is what the lips do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonic_stream.engines.lite.fields import INDEX
from sonic_stream.engines.lite.network import CHANNEL, CHANNELS
from sonic_stream.engines.lite.rig import lips
from sonic_stream.media import FloatArray

OPENING = [INDEX[name] for name in ("jaw", "lower_down", "upper_up")]


def moved(dynamic_scale: float = 1.0, **values: float) -> FloatArray:
    channels = np.zeros(len(CHANNELS), np.float32)
    channels[CHANNEL["speech"]] = 1
    for name, value in values.items():
        channels[CHANNEL[name]] = value
    return lips(channels, dynamic_scale)[0]


def test_the_aperture_opens_and_a_closure_shuts_it() -> None:
    small, wide = moved(aperture=0.2), moved(aperture=0.6)
    assert np.all(wide[OPENING] > small[OPENING])
    shut = moved(aperture=0.2, jaw_loud=0.3, close=0.75)
    assert shut[OPENING].max() < 0.05
    assert shut[INDEX["close"]] == 1


def test_spread_round_and_tucked_lips_are_told_apart() -> None:
    spread = moved(aperture=0.3, stretch=0.8)
    rounded = moved(aperture=0.1, round=0.9)
    tucked = moved(aperture=0.15, tuck=0.8)
    for name, shape in (("stretch", spread), ("pucker", rounded), ("tuck", tucked)):
        others = [s for s in (spread, rounded, tucked) if s is not shape]
        assert shape[INDEX[name]] > 0.5 > max(other[INDEX[name]] for other in others)


def test_lips_that_smile_come_together_for_speech_and_most_for_round_and_tucked_ones() -> None:
    spoken = moved(aperture=0.3)[INDEX["close"]]
    assert 0.3 < spoken < moved(aperture=0.15, tuck=0.8)[INDEX["close"]]
    assert moved(aperture=0.1, round=0.9)[INDEX["close"]] == 1


def test_a_pause_parts_the_lips_without_the_jaw() -> None:
    pause = moved(aperture=0.2)
    assert 0 < pause[INDEX["jaw"]] < 0.2


@given(st.lists(st.floats(0, 1), min_size=len(CHANNELS), max_size=len(CHANNELS)), st.floats(0.2, 2))
def test_coefficients_stay_within_bounds(values: list[float], dynamic_scale: float) -> None:
    coefficients, tongue = lips(np.array(values, np.float32), dynamic_scale)
    assert coefficients.min() >= 0
    assert coefficients.max() <= 1.25
    assert 0 <= tongue <= 1


@pytest.mark.parametrize("name", CHANNELS[:-1])
def test_nothing_moves_without_speech(name: str) -> None:
    assert not moved(speech=0.1, **{name: 1.0}).any()
