"""The renderer is chosen without loading what is not used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import StreamOptions, load_engine, streams_of
from sonic_stream.engines.lite import choice
from sonic_stream.engines.lite.painter import CpuPainter
from sonic_stream.media import AudioChunk
from tests.sonic_stream.engines.lite.gpu.devices import no_card

LOADS = """
import sys
from sonic_stream.engine import load_engine
load_engine("lite", size_px=128, device=sys.argv[1]).warm_up()
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_without_a_card_torch_is_not_loaded(device: str) -> None:
    if device == "auto" and choice.may_have_card():
        pytest.skip("a driver is installed")
    subprocess.run([sys.executable, "-c", LOADS, device], check=True, timeout=60)


@pytest.mark.skipif(not no_card(), reason="there is a card")
def test_a_driver_without_a_card_leaves_the_pictures_to_the_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(choice, "DRIVER_FILES", (str(tmp_path),))
    made = []
    for device in ("auto", "cpu"):
        engine = load_engine("lite", size_px=128, device=device)
        stream = engine.open(engine.prepare(load_avatar("mira")), StreamOptions())
        silence = np.zeros(engine.spec.latency_samples, np.float32)
        made.append(stream.push(AudioChunk(silence, 16000, 0))[0].frames)
        assert isinstance(engine.painter, CpuPainter)
        assert streams_of(engine) == 0
    assert np.array_equal(*made)
    assert "the processor draws" in caplog.text


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", ""])
def test_unknown_devices_are_refused(device: str) -> None:
    with pytest.raises(ValueError, match="device is auto, cpu, cuda or cuda:N"):
        load_engine("lite", device=device)
