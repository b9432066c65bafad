"""Which renderer the embedded engine gets: the processor's own, or that of a CUDA card."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sonic_stream.engines.lite.engine import LiteEngine

DRIVER_FILES = ("/dev/nvidiactl", "/dev/dxg")  # Linux; Linux within Windows
DEVICES = re.compile(r"auto|cpu|cuda(:\d+)?|torch-cpu")


def open_engine(*, device: str = "auto", **settings: Any) -> LiteEngine:
    """`device`: "cpu", "cuda" or "cuda:1"; "auto" is a card if there are one and torch, which are
    looked for without loading anything; "torch-cpu" is what a card runs, on the processor: slow,
    to compare. Other settings are those of `LiteEngine`.

    Raises `ValueError` for a setting that cannot be.
    """
    if not DEVICES.fullmatch(device):
        raise ValueError(f"device is auto, cpu, cuda or cuda:N (torch-cpu), not {device!r}")
    if device == "cpu" or (device == "auto" and not may_have_card()):
        return LiteEngine(**settings)
    from sonic_stream.engines.lite.gpu.engine import GpuEngine

    return GpuEngine(device=device, **settings)


def may_have_card() -> bool:
    """A driver and torch are installed; whether they work together only loading them can tell."""
    driver = any(Path(name).exists() for name in DRIVER_FILES)
    return driver and find_spec("torch") is not None
