"""Stands in for a virtual camera, which is a driver of the kernel: the sink's child process loads
it by its import string. A device's name is the file into which it writes.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import numpy as np
import numpy.typing as npt


class PixelFormat(Enum):
    I420 = "I420"


class Camera:
    """Like pyvirtualcam's."""

    def __init__(
        self, width: int, height: int, fps: float, fmt: PixelFormat, device: str | None
    ) -> None:
        if device is None:
            raise RuntimeError("there is no camera device")
        self.device = device
        self._shape = (height * 3 // 2, width)
        self._left = 5 if device.endswith("fragile") else 1 << 30
        self._file = Path(device).open("wb")  # noqa: SIM115

    def send(self, frame: npt.NDArray[np.uint8]) -> None:
        assert frame.shape == self._shape and frame.dtype == np.uint8
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("device unplugged")
        self._file.write(frame.tobytes())

    def close(self) -> None:
        self._file.close()
