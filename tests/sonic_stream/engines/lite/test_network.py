"""The network: exact emission, parity, causality, and the packaged weights' behaviour."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from sonic_stream.engines.lite.features import ROW
from sonic_stream.engines.lite.network import (
    CHANNEL,
    CHANNELS,
    FRAME_SAMPLES,
    LOOK_AHEAD_SAMPLES,
    WEIGHTS,
    AudioToMotion,
    MotionNet,
    aperture,
)
from tests.sonic_stream.engines.lite.test_features import sound

DUE = FRAME_SAMPLES + LOOK_AHEAD_SAMPLES


@pytest.fixture(scope="module", name="net")
def packaged_net() -> MotionNet:
    return MotionNet.load()


def test_a_frame_is_given_exactly_when_its_look_ahead_was_heard(net: MotionNet) -> None:
    voice = AudioToMotion(net)
    samples = sound(DUE + 2 * FRAME_SAMPLES)
    assert len(voice.push(samples[: DUE - 1])) == 0
    assert len(voice.push(samples[DUE - 1 : DUE])) == 1
    assert len(voice.push(samples[DUE : DUE + FRAME_SAMPLES - 1])) == 0
    assert len(voice.push(samples[DUE + FRAME_SAMPLES - 1 :])) == 2


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 8000), max_size=10))
def test_any_chunking_gives_the_same_bits(net: MotionNet, cuts: list[int]) -> None:
    samples = sound(8000)
    whole = AudioToMotion(net).push(samples)
    voice = AudioToMotion(net)
    parts = [voice.push(piece) for piece in np.split(samples, sorted(cuts))]
    assert whole.shape == ((8000 - LOOK_AHEAD_SAMPLES) // FRAME_SAMPLES, len(CHANNELS))
    assert np.array_equal(np.concatenate(parts), whole)


def test_sound_beyond_the_look_ahead_changes_no_frame(net: MotionNet) -> None:
    samples = sound(16_000)
    other = samples.copy()
    other[DUE + 5 * FRAME_SAMPLES :] = 0
    first, second = AudioToMotion(net).push(samples), AudioToMotion(net).push(other)
    assert np.array_equal(first[:6], second[:6])
    assert not np.array_equal(first[7:], second[7:])


def test_a_clone_goes_its_own_way(net: MotionNet) -> None:
    voice = AudioToMotion(net)
    voice.push(sound(5000))
    twin = voice.clone()
    expected = voice.push(sound(5000, seed=1))
    voice.push(sound(2000, seed=2))
    assert np.array_equal(twin.push(sound(5000, seed=1)), expected)


def test_reset_forgets(net: MotionNet) -> None:
    voice = AudioToMotion(net)
    first = voice.push(sound(5001))
    voice.reset()
    assert np.array_equal(voice.push(sound(5001)), first)


def test_silence_and_noise_keep_the_mouth_shut(net: MotionNet) -> None:
    noise = np.random.default_rng(1).standard_normal(48_000).astype(np.float32)
    burst = noise * np.float32(0.2) * (np.arange(48_000) % 24_000 > 16_000)
    for quiet in (np.zeros(48_000, np.float32), noise * np.float32(1e-3), burst):
        opening = aperture(AudioToMotion(net).push(quiet))
        assert opening.max() < 0.15  # the first frames have heard next to nothing
        assert opening[5:].mean() < 0.02


def test_a_frame_costs_far_less_than_it_lasts(net: MotionNet) -> None:
    voice = AudioToMotion(net)
    voice.push(sound(3200))
    start_s = process_time()
    voice.push(sound(100 * FRAME_SAMPLES))
    assert 1000 * (process_time() - start_s) / 100 < 4  # of 40 ms; 0.3 on an idle machine


def test_the_aperture_shuts_with_the_gate() -> None:
    speech = np.zeros(len(CHANNELS), np.float32)
    speech[[CHANNEL["aperture"], CHANNEL["speech"]]] = (0.5, 1)
    closing, silent = speech.copy(), speech.copy()
    closing[CHANNEL["close"]] = 0.8
    silent[CHANNEL["speech"]] = 0
    assert aperture(speech) > aperture(closing) > aperture(silent) == 0
    assert aperture(np.stack([speech, silent])).shape == (2,)


def test_missing_and_damaged_weights_are_named(tmp_path: Path, net: MotionNet) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(WEIGHTS.read_bytes()[:1000])
    partial = tmp_path / "partial.safetensors"
    save_file({"c1.weight": np.zeros((96, ROW, 4), np.float32)}, partial)
    for path in (tmp_path / "absent.safetensors", broken, partial):
        with pytest.raises(ValueError, match=path.name):
            MotionNet.load(path)
