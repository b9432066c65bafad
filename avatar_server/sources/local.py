"""A microphone of the server's own machine.

PortAudio's thread puts pieces into a short queue; each read moves them into the same buffer that
evens out a browser's microphone, so the sound card's clock may be a little off.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import numpy as np

from avatar_server.config import LocalSection
from avatar_server.errors import NotAllowed
from avatar_server.rtc.receive import MicBuffer
from avatar_server.sources.base import SourceError
from avatar_server.sources.portaudio import Device, Devices, PortAudio, Stream
from avatar_server.sources.resample import ToSession
from sonic_stream.media import FloatArray

PIECES = 50  # a second; the oldest are dropped
SILENT_S = 1.0  # a device that gives nothing for so long is gone
RETRY_S = 2.0
OPEN_TIMEOUT_S = 10.0

Notify = Callable[[str, str], None]


class LocalMicrophone:
    """Made by `open`. Unplugged, it is silent and says so; plugged in again, it goes on."""

    def __init__(self, devices: Devices, name: str, notify: Notify) -> None:
        self._devices = devices
        self._name = name
        self._notify = notify
        self._pieces: deque[FloatArray] = deque(maxlen=PIECES)
        self._buffer = MicBuffer(lambda payload: np.frombuffer(payload, np.float32))
        self._resampler = ToSession(48_000)
        self._stamp = 0
        self._received = 0
        self._ended = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, devices: Devices, name: str, notify: Notify) -> LocalMicrophone:
        """Raises `SourceError` when there is no such microphone, or it cannot be opened."""
        microphone = cls(devices, name, notify)
        stream = await microphone._open()
        microphone._keeper = asyncio.create_task(microphone._keep(stream), name="microphone")
        return microphone

    def read(self, n_samples: int) -> FloatArray:
        while self._pieces:
            piece = np.clip(np.nan_to_num(self._pieces.popleft()), -1.0, 1.0)
            samples = self._resampler.push(piece)
            self._buffer.push(self._stamp % (1 << 32), samples.tobytes())
            self._stamp += len(samples)
        return self._buffer.read(n_samples)

    def stats(self) -> dict[str, float]:
        return self._buffer.stats()

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def _open(self) -> Stream:
        loop = asyncio.get_running_loop()
        self._ended = ended = asyncio.Event()

        def tell_ended() -> None:
            loop.call_soon_threadsafe(ended.set)

        opening = asyncio.ensure_future(
            asyncio.to_thread(self._devices.open, self._name, self._take, tell_ended)
        )
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                stream = await asyncio.shield(opening)
        except (TimeoutError, asyncio.CancelledError):
            opening.add_done_callback(_unwanted)
            raise
        self._resampler = ToSession(stream.rate_hz)
        return stream

    def _take(self, samples: FloatArray) -> None:
        """In PortAudio's thread."""
        self._pieces.append(samples.copy())
        self._received += 1

    async def _keep(self, stream: Stream | None) -> None:
        try:
            while True:
                if stream is not None:
                    await self._lost()
                    await asyncio.to_thread(stream.close)
                    self._notify("microphone_lost", "The microphone is gone; plug it in again.")
                stream = await self._reopened()
                self._notify("microphone_back", "The microphone is back.")
        finally:
            if stream is not None:
                await asyncio.shield(asyncio.to_thread(stream.close))

    async def _lost(self) -> None:
        """Until the device says that it ended, or gives nothing any more."""
        received = -1
        while received != self._received:
            received = self._received
            try:
                async with asyncio.timeout(SILENT_S):
                    await self._ended.wait()
                return
            except TimeoutError:
                continue

    async def _reopened(self) -> Stream:
        while True:
            await asyncio.sleep(RETRY_S)
            try:
                return await self._open()
            except (SourceError, TimeoutError):
                continue


def _unwanted(opening: asyncio.Future[Stream]) -> None:
    """A device that was opened after all, when nobody waited for it any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class LocalMicrophones:
    """Those of the server's machine, as far as its operator lets clients use them."""

    def __init__(self, section: LocalSection, devices: Devices | None = None) -> None:
        self._section = section
        self._devices = devices or PortAudio()

    async def open(self, name: str | None, notify: Notify) -> LocalMicrophone:
        """The one so named, or the operator's choice. Raises `NotAllowed` or `SourceError`."""
        self._check_allowed()
        try:
            return await LocalMicrophone.open(self._devices, name or self._section.device, notify)
        except TimeoutError as error:
            raise SourceError("the microphone does not answer", "no_microphone") from error

    async def list(self) -> list[Device]:
        """Raises `NotAllowed` or `SourceError`."""
        self._check_allowed()
        return await asyncio.to_thread(self._devices.microphones)

    def _check_allowed(self) -> None:
        if not self._section.microphone:
            raise NotAllowed(
                "the server's own microphone is off; its operator sets local.microphone"
            )
