"""A local microphone: plugged in, unplugged, plugged in again; and the real PortAudio's answers."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable

import numpy as np
import pytest

from avatar_server.config import LocalSection
from avatar_server.errors import NotAllowed
from avatar_server.sources import local
from avatar_server.sources.base import SourceError
from avatar_server.sources.local import LocalMicrophone, list_microphones, open_microphone
from avatar_server.sources.portaudio import Device, PortAudio, choose
from tests.avatar_server.sources.contract import tasks

MICROPHONES = [
    Device("Built-in", 48_000, 1),
    Device("USB Headset", 44_100, 2, default=True),
]


class Machine:
    """Stands in for the sound devices, which a test machine has not: a thread that calls back
    every 10 ms as PortAudio's does."""

    def __init__(self, rate_hz: int = 48_000) -> None:
        self.rate_hz = rate_hz
        self.plugged = True
        self.mute = False
        self.open_streams = 0

    def microphones(self) -> list[Device]:
        return MICROPHONES if self.plugged else []

    def open(
        self, name: str, take: Callable[[np.ndarray], None], ended: Callable[[], None]
    ) -> MachineStream:
        choose(self.microphones(), name)
        return MachineStream(self, take, ended)


class MachineStream:
    def __init__(
        self, machine: Machine, take: Callable[[np.ndarray], None], ended: Callable[[], None]
    ) -> None:
        self.rate_hz = machine.rate_hz
        self._machine, self._take, self._ended = machine, take, ended
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        machine.open_streams += 1
        self._thread.start()

    def _run(self) -> None:
        at, count = 0, self.rate_hz // 100
        while not self._stop.wait(0.01):
            if not self._machine.plugged:
                self._ended()
                return
            if not self._machine.mute:
                phase = 2 * np.pi * 440 * (at + np.arange(count)) / self.rate_hz
                self._take((0.5 * np.sin(phase)).astype(np.float32))
                at += count

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._machine.open_streams -= 1


async def listen(microphone: LocalMicrophone, seconds: float) -> np.ndarray:
    pieces = []
    start = asyncio.get_running_loop().time()
    for tick in range(int(seconds * 50)):
        pieces.append(microphone.read(960))
        await asyncio.sleep(max(0, start + (tick + 1) * 0.02 - asyncio.get_running_loop().time()))
    return np.concatenate(pieces)


@pytest.mark.parametrize("rate_hz", [48_000, 44_100, 16_000])
async def test_it_is_heard_in_tune_at_any_rate(rate_hz: int) -> None:
    machine = Machine(rate_hz)
    microphone = await LocalMicrophone.open(machine, "", lambda *_: None)
    try:
        sound = await listen(microphone, 1.5)
    finally:
        await microphone.close()
    late = sound[48_000:]
    spectrum = np.abs(np.fft.rfft(late * np.hanning(len(late))))
    assert np.argmax(spectrum) * 48_000 / len(late) == pytest.approx(440, abs=5)
    assert machine.open_streams == 0
    assert not tasks()


@pytest.mark.parametrize("silently", [True, False], ids=["gives nothing", "ends"])
async def test_unplugged_it_is_silent_and_comes_back(
    monkeypatch: pytest.MonkeyPatch, silently: bool
) -> None:
    monkeypatch.setattr(local, "RETRY_S", 0.1)
    monkeypatch.setattr(local, "SILENT_S", 0.2)
    notices: list[str] = []
    machine = Machine()
    microphone = await LocalMicrophone.open(machine, "usb", lambda code, _: notices.append(code))
    try:
        assert (await listen(microphone, 0.5)).any()
        machine.plugged, machine.mute = silently, silently
        await listen(microphone, 0.8)
        assert notices[0] == "microphone_lost"
        assert not (await listen(microphone, 0.1)).any()
        machine.plugged, machine.mute = True, False
        sound = await listen(microphone, 1.0)
        assert sound[-4800:].any()
        assert "microphone_back" in notices
    finally:
        await microphone.close()
    assert machine.open_streams == 0
    assert not tasks()


async def test_only_the_operator_may_open_it() -> None:
    with pytest.raises(NotAllowed, match=r"local\.microphone"):
        await open_microphone(LocalSection(), None, lambda *_: None, Machine())
    with pytest.raises(NotAllowed):
        await list_microphones(LocalSection(), Machine())
    allowed = LocalSection(microphone=True)
    assert await list_microphones(allowed, Machine()) == MICROPHONES
    with pytest.raises(SourceError, match="Built-in, USB Headset"):
        await open_microphone(allowed, "Bluetooth", lambda *_: None, Machine())
    machine = Machine()
    machine.plugged = False
    with pytest.raises(SourceError, match="no microphone is plugged"):
        await open_microphone(allowed, None, lambda *_: None, machine)


def test_a_device_is_chosen_by_part_of_its_name() -> None:
    assert choose(MICROPHONES, "").name == "USB Headset"
    assert choose(MICROPHONES, "built").name == "Built-in"


def test_a_missing_package_or_library_is_told_with_its_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(SourceError, match=r"avatar-server\[local\]"):
        PortAudio().microphones()


def test_the_real_library_answers_or_says_what_is_missing() -> None:
    """On a machine without sound hardware: an empty list, or which library to install."""
    pytest.importorskip("cffi")
    try:
        microphones = PortAudio().microphones()
    except SourceError as error:
        assert "libportaudio2" in str(error) or "avatar-server[local]" in str(error)
    else:
        assert all(device.channels > 0 for device in microphones)
