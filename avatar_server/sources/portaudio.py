"""Sound devices of this machine: PortAudio, through the optional package sounddevice.

Everything here may block; it is called in threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from avatar_server.sources.base import RATE_HZ, SourceError
from sonic_stream.media import FloatArray

BLOCK_S = 0.02


@dataclass(frozen=True, slots=True)
class Device:
    name: str
    rate_hz: int
    channels: int
    default: bool = False


class Stream(Protocol):
    """An open microphone."""

    rate_hz: int

    def close(self) -> None:
        """Harmless when repeated."""
        ...


class Devices(Protocol):
    """What a local microphone needs of the machine."""

    def microphones(self) -> list[Device]:
        """Those plugged in now. Raises `SourceError` when they cannot be listed."""
        ...

    def open(
        self, name: str, take: Callable[[FloatArray], None], ended: Callable[[], None]
    ) -> Stream:
        """Listen: `take` gets mono float32 pieces and `ended` is called when the device is gone,
        both in a thread of PortAudio's. Empty name: the default. Raises `SourceError`."""
        ...


class PortAudio:
    """The real devices; one object for all who listen. PortAudio reads its list when it is
    initialised, which ends what is open: the list is that of before while anybody listens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0

    def microphones(self) -> list[Device]:
        with self._lock:
            return self._listed()

    def open(
        self, name: str, take: Callable[[FloatArray], None], ended: Callable[[], None]
    ) -> Stream:
        with self._lock:
            stream = self._opened(choose(self._listed(), name), take, ended)
            self._open += 1
        return stream

    def _closed(self) -> None:
        with self._lock:
            self._open -= 1

    def _listed(self) -> list[Device]:
        sounddevice = _sounddevice()
        if not self._open:
            sounddevice._terminate()
            sounddevice._initialize()
        default = sounddevice.default.device[0]
        return [
            Device(
                device["name"],
                int(device["default_samplerate"]),
                device["max_input_channels"],
                index == default,
            )
            for index, device in enumerate(sounddevice.query_devices())
            if device["max_input_channels"] > 0
        ]

    def _opened(
        self, device: Device, take: Callable[[FloatArray], None], ended: Callable[[], None]
    ) -> Stream:
        sounddevice = _sounddevice()
        channels = 1 if device.channels == 1 else 2

        def callback(data: Any, _frames: int, _time: Any, _status: Any) -> None:
            take(np.asarray(data.mean(axis=1), np.float32))

        for rate_hz in dict.fromkeys((RATE_HZ, device.rate_hz)):
            try:
                stream = sounddevice.InputStream(
                    samplerate=rate_hz,
                    blocksize=round(BLOCK_S * rate_hz),
                    device=device.name,
                    channels=channels,
                    dtype="float32",
                    callback=callback,
                    finished_callback=ended,
                )
                stream.start()
            except (sounddevice.PortAudioError, ValueError) as error:
                problem = error
            else:
                return _Open(stream, rate_hz, self._closed)
        raise SourceError(f"{device.name} cannot be opened: {problem}", "no_microphone")


class _Open:
    def __init__(self, stream: Any, rate_hz: int, on_close: Callable[[], None]) -> None:
        self.rate_hz = rate_hz
        self._stream = stream
        self._on_close = on_close

    def close(self) -> None:
        if not self._stream.closed:
            self._stream.close(ignore_errors=True)
            self._on_close()


def choose(devices: list[Device], name: str) -> Device:
    """The device whose name contains `name`, or the default one. Raises `SourceError`."""
    if not devices:
        raise SourceError("no microphone is plugged into the server's machine", "no_microphone")
    if not name:
        return next((device for device in devices if device.default), devices[0])
    for device in devices:
        if name.lower() in device.name.lower():
            return device
    names = ", ".join(device.name for device in devices)
    raise SourceError(f"there is no microphone {name!r}; there are: {names}", "no_microphone")


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise SourceError(
            "local sound is not installed; pip install 'avatar-server[local]'", "no_microphone"
        ) from error
    except OSError as error:
        raise SourceError(
            "PortAudio is missing; on Debian and Ubuntu: apt install libportaudio2",
            "no_microphone",
        ) from error
    return sounddevice
