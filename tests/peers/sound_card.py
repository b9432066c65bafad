"""A sound card in software, for the real PortAudio and ALSA: what is played lies in a file, and
its microphone hears one.

ALSA's plugins `file` and `null` have no clock; here it is the FIFO into which they must write and
that is read at the pace of a card.
"""

from __future__ import annotations

import contextlib
import ctypes.util
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

RATE_HZ = 48_000
PIECE_S = 0.01
STANDS_S = 1.5  # longer than a microphone is waited for
SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ
LOUDSPEAKER, MICROPHONE = "loud", "ear"
# The loudspeaker is converted to one channel of int16; a microphone must not be converted (ALSA
# reads a file's pieces twice then), so it has the format of whoever opens it: float32, stereo.
FRAME_BYTES = {LOUDSPEAKER: 2, MICROPHONE: 8}
NO_DEVICES = "pcm.!default { type null }\n"
DEVICES = """
pcm.out { type file file "FOLDER/loud.fifo" format raw slave.pcm { type null } }
pcm.loud { type plug slave { pcm out format S16_LE rate 48000 channels 1 } }
pcm.ear {
  type file file "FOLDER/ear.fifo" infile "FOLDER/heard" format raw slave.pcm { type null }
}
pcm.!default { type null }
"""


def missing() -> str:
    """Why there is no sound here; "" when there is."""
    if find_spec("sounddevice") is None:
        return "sounddevice is not installed (pip install 'avatar-server[local]')"
    if ctypes.util.find_library("portaudio") is None:
        return "PortAudio is not installed (Debian: libportaudio2)"
    if ctypes.util.find_library("asound") is None:
        return "ALSA is not installed (Debian: libasound2)"
    return ""


class SoundCard:
    """`config` is a file for ALSA_CONFIG_PATH. `pace`: how much faster than it should its clock
    runs."""

    def __init__(self, folder: Path, pace: float) -> None:
        self.config = folder / "asoundrc"
        self._moments: list[tuple[int, float]] = []
        self._pace = pace
        self._folder = folder
        self._played = bytearray()
        self._clocks: dict[int, threading.Thread] = {}
        self._plugged = threading.Event()
        (folder / "heard").write_bytes(b"")

    def hear(self, samples: npt.NDArray[np.float32]) -> None:
        """What its microphone will hear, from its opening on; then silence."""
        both = np.repeat(samples.astype("<f4"), 2)
        (self._folder / "heard").write_bytes(both.tobytes())

    @property
    def played(self) -> npt.NDArray[np.float32]:
        """Since it was plugged in, silence included."""
        data = bytes(self._played)
        return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float32) / 32768

    def played_at_s(self, samples: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """When these of the samples were played, on the monotonic clock."""
        counts, moments_s = zip(*self._moments, strict=True)
        return np.interp(samples, counts, moments_s)

    def plug(self) -> None:
        self._plugged.set()
        for name in FRAME_BYTES:
            fifo = self._folder / f"{name}.fifo"
            fifo.unlink(missing_ok=True)
            os.mkfifo(fifo)
            end = os.open(fifo, os.O_RDWR)  # it is there before and after anybody writes
            fcntl.fcntl(end, SET_PIPE_SIZE, 4096)
            clock = threading.Thread(target=self._run, args=(name, end), daemon=True)
            self._clocks[end] = clock
            clock.start()
        self.config.write_text(DEVICES.replace("FOLDER", str(self._folder)))

    def unplug(self) -> None:
        """Nobody finds it again. What uses it stands still first, as with hardware, and is told
        after a while that it is gone."""
        self.config.write_text(NO_DEVICES)
        self._plugged.clear()
        for end in self._clocks:
            os.set_blocking(end, False)
            with contextlib.suppress(BlockingIOError):  # one that waits for somebody to play
                os.write(end, b"\0")
        while self._clocks:
            self._clocks.popitem()[1].join()

    def _run(self, name: str, end: int) -> None:
        """Read what is written at the card's pace."""
        frame_bytes = FRAME_BYTES[name]
        size = int(PIECE_S * RATE_HZ) * frame_bytes
        due_s = time.monotonic()
        while self._plugged.is_set():
            piece = os.read(end, size)
            if name == LOUDSPEAKER:
                self._moments.append((len(self._played) // frame_bytes, time.monotonic()))
                self._played += piece
            due_s = max(due_s, time.monotonic() - 0.1)
            due_s += len(piece) / frame_bytes / RATE_HZ / self._pace
            time.sleep(max(due_s - time.monotonic(), 0))
        time.sleep(STANDS_S)
        os.close(end)


@contextmanager
def sound_card(
    folder: Path, monkeypatch: pytest.MonkeyPatch, pace: float = 1.0
) -> Iterator[SoundCard]:
    """The only one that programs find, this one and its children."""
    folder.mkdir(exist_ok=True)
    card = SoundCard(folder, pace)
    card.plug()
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(card.config))
    try:
        yield card
    finally:
        card.unplug()
