"""What is trained in torch is what runs in NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")

from sonic_stream.engines.lite.features import Features  # noqa: E402
from sonic_stream.engines.lite.network import (  # noqa: E402
    CHANNELS,
    FRAME_SAMPLES,
    SETTLING_SAMPLES,
    AudioToMotion,
    MotionNet,
)
from sonic_stream.training.model import TorchMotionNet, relative  # noqa: E402
from sonic_stream.training.rows import mel_power  # noqa: E402
from tests.sonic_stream.engines.lite.test_features import sound  # noqa: E402

SAMPLES = sound(50 * FRAME_SAMPLES)


def torch_features() -> object:
    return relative(torch.log(torch.from_numpy(mel_power(SAMPLES)))[None])


def test_features_agree() -> None:
    streamed = Features().push(SAMPLES)
    whole = np.asarray(torch_features())[0]
    assert whole.shape == streamed.shape
    assert np.abs(whole - streamed).max() < 1e-4


def test_the_network_agrees(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = TorchMotionNet().eval()
    model.save(tmp_path / "net.safetensors")
    net = MotionNet.load(tmp_path / "net.safetensors")
    rows = Features().push(SAMPLES)
    with torch.no_grad():
        # The engine starts as after a second of silence.
        silence = Features().push(np.zeros(SETTLING_SAMPLES, np.float32))
        heard = torch.from_numpy(np.concatenate([silence, rows]))
        expected = torch.sigmoid(model(heard[None])[0])[0, len(silence) // 2 :].numpy()
    state = net.init_state()
    said = np.stack([net.step(state, rows[i : i + 2]) for i in range(0, len(rows), 2)])
    assert said.shape == expected.shape == (len(rows) // 2, len(CHANNELS))
    assert np.abs(said - expected).max() < 1e-5
    # And a frame is the mean of the two outputs that are centred on it, 80 ms later.
    frames = AudioToMotion(net).push(SAMPLES)
    pairs = said[4:].reshape(-1, 2, len(CHANNELS)).mean(1)
    assert np.abs(frames - pairs).max() < 1e-6
