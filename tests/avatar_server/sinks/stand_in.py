"""Stands in for camera and sound devices, which a test machine lacks: the sinks' child processes
load it by its import string. A device's name is the file into which it writes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class PixelFormat(Enum):
    I420 = "I420"


class PortAudioError(Exception):
    pass


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


class OutputStream:
    """Like sounddevice's; its clock is 2 % fast, so that the buffer has something to do."""

    def __init__(
        self,
        *,
        samplerate: int,
        channels: int,
        dtype: str,
        blocksize: int,
        device: str | int | None,
        callback: Callable[..., Any],
        finished_callback: Callable[[], Any],
    ) -> None:
        if device is None:
            raise PortAudioError("Error querying device -1")
        assert (channels, dtype) == (1, "float32")
        self._file = Path(str(device)).open("wb")  # noqa: SIM115
        self._fragile = str(device).endswith("fragile")
        self._callback, self._finished = callback, finished_callback
        self._pause_s = blocksize / samplerate / 1.02
        self._block = blocksize
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._file.close()

    def _run(self) -> None:
        calls, due_s = 0, time.monotonic()
        while not self._stop.wait(max(due_s - time.monotonic(), 0)):
            calls += 1
            due_s += self._pause_s
            out = np.zeros((self._block, 1), np.float32)
            self._callback(out, self._block, None, None)
            self._file.write(out.tobytes())
            if self._fragile and calls > 50:
                self._finished()
                return
