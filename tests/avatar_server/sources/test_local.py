"""A local microphone: plugged in, unplugged, plugged in again; and the real PortAudio's answers."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatar_server.config import LocalSection
from avatar_server.errors import NotAllowed
from avatar_server.sources import local
from avatar_server.sources.base import SourceError
from avatar_server.sources.local import LocalMicrophone, LocalMicrophones
from avatar_server.sources.portaudio import Device, PortAudio, choose
from tests.avatar_server.sources.contract import tasks
from tests.peers import sound_card
from tests.peers.sound_card import MICROPHONE

MICROPHONES = [
    Device("Built-in", 48_000, 1),
    Device("USB Headset", 44_100, 2, default=True),
]


class Machine:
    """Stands in for devices of other rates, that end or do not answer: a thread that calls back
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
    forbidden = LocalMicrophones(LocalSection(), Machine())
    with pytest.raises(NotAllowed, match=r"local\.microphone"):
        await forbidden.open(None, lambda *_: None)
    with pytest.raises(NotAllowed):
        await forbidden.list()
    machine = Machine()
    allowed = LocalMicrophones(LocalSection(microphone=True), machine)
    assert await allowed.list() == MICROPHONES
    with pytest.raises(SourceError, match="Built-in, USB Headset"):
        await allowed.open("Bluetooth", lambda *_: None)
    machine.plugged = False
    with pytest.raises(SourceError, match="no microphone is plugged"):
        await allowed.open(None, lambda *_: None)


async def test_a_device_that_opens_too_late_is_closed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "OPEN_TIMEOUT_S", 0.1)
    machine, answers = Machine(), threading.Event()
    open_at_once = machine.open

    def open_late(*args: Any) -> MachineStream:
        answers.wait(10)
        return open_at_once(*args)

    monkeypatch.setattr(machine, "open", open_late)
    with pytest.raises(SourceError, match="does not answer"):
        await LocalMicrophones(LocalSection(microphone=True), machine).open(None, lambda *_: None)
    answers.set()
    async with asyncio.timeout(5):
        while machine.open_streams or tasks():
            await asyncio.sleep(0.01)


def test_a_device_is_chosen_by_part_of_its_name() -> None:
    assert choose(MICROPHONES, "").name == "USB Headset"
    assert choose(MICROPHONES, "built").name == "Built-in"


def test_a_missing_package_or_library_is_told_with_its_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(SourceError, match=r"avatar-server\[local\]"):
        PortAudio().microphones()


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sound_card.SoundCard]:
    """By the real PortAudio and ALSA; its microphone hears a tone for as long as a test takes."""
    if why := sound_card.missing():
        pytest.skip(why)
    with sound_card.sound_card(tmp_path, monkeypatch) as found:
        found.hear((0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000 * 60) / 48_000)).astype("f4"))
        yield found


async def opened(devices: PortAudio, notices: list[str]) -> LocalMicrophone:
    return await LocalMicrophone.open(devices, MICROPHONE, lambda code, _: notices.append(code))


async def test_a_real_one_is_heard_without_a_hole(card: sound_card.SoundCard) -> None:
    microphone = await opened(PortAudio(), [])
    sound = await listen(microphone, 2.0)
    await microphone.close()
    late = sound[48_000:]
    assert np.abs(late).max() == pytest.approx(0.5, abs=0.02)
    spectrum = np.abs(np.fft.rfft(late * np.hanning(len(late))))
    assert np.argmax(spectrum) * 48_000 / len(late) == pytest.approx(440, abs=5)
    assert not tasks()


async def test_a_real_one_that_is_unplugged_comes_back(
    card: sound_card.SoundCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "RETRY_S", 0.2)
    monkeypatch.setattr(local, "SILENT_S", 0.5)
    notices: list[str] = []
    microphone = await opened(PortAudio(), notices)
    try:
        assert (await listen(microphone, 1.0)).any()
        await asyncio.to_thread(card.unplug)
        await listen(microphone, 2.5)
        assert notices == ["microphone_lost"]
        assert not (await listen(microphone, 0.1)).any()
        card.plug()
        sound = await listen(microphone, 3.0)
        assert notices == ["microphone_lost", "microphone_back"]
        assert np.abs(sound[-4800:]).max() > 0.4
    finally:
        await microphone.close()
    assert not tasks()


async def test_one_who_lists_or_opens_does_not_disturb_another(card: sound_card.SoundCard) -> None:
    """PortAudio's list is made anew only while nobody listens: what is open would be closed."""
    devices, notices = PortAudio(), list[str]()
    first = await opened(devices, notices)
    assert MICROPHONE in [device.name for device in devices.microphones()]
    second = await opened(devices, notices)
    await listen(first, 1.0)
    assert np.abs(await listen(first, 0.5)).max() > 0.4
    assert np.abs(second.read(4800)).max() > 0.4
    await second.close()
    assert np.abs(await listen(first, 0.5)).max() > 0.4
    await first.close()
    assert not notices
    card.unplug()
    assert MICROPHONE not in [device.name for device in devices.microphones()]


def test_the_real_library_answers_or_says_what_is_missing() -> None:
    """On a machine without sound hardware: an empty list, or which library to install."""
    pytest.importorskip("cffi")
    try:
        microphones = PortAudio().microphones()
    except SourceError as error:
        assert "libportaudio2" in str(error) or "avatar-server[local]" in str(error)
    else:
        assert all(device.channels > 0 for device in microphones)
