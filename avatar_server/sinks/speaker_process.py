"""The child process of the loudspeaker: the session's pace in, the device's pace out.

The two clocks differ by some hundredths of a percent; the buffer that evens out a browser's
microphone does the same here: it leaves out or repeats a pitch period when need be.
"""

from __future__ import annotations

import threading
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_server.rtc.receive import RATE_HZ, MicBuffer
from avatar_server.sinks.child_process import ChildFailed, serve, tell
from avatar_server.worker.wire import WireMessage
from sonic_stream.media import FloatArray

BLOCK = 480
MISSING = "sound on this machine needs another package: pip install 'avatar-server[local]'"
NO_LIBRARY = "the PortAudio library is missing ({error}); on Debian: apt install libportaudio2"
NO_DEVICE = "the loudspeaker {device!r} cannot be opened ({error})"


class SpeakerProcess:
    """The device calls back on a thread of its own; the lock guards the buffer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buffer = MicBuffer(_decode)
        self._gone = threading.Event()
        self._stream: Any = None

    def open(self, fields: dict[str, Any]) -> None:
        name, _, attribute = fields["backend"].partition(":")
        device = fields["device"]
        try:
            module = import_module(name)
        except ModuleNotFoundError as error:
            raise ChildFailed(MISSING, final=True) from error
        except OSError as error:
            raise ChildFailed(NO_LIBRARY.format(error=error), final=True) from error
        try:
            self._stream = getattr(module, attribute)(
                samplerate=RATE_HZ,
                channels=1,
                dtype="float32",
                blocksize=BLOCK,
                device=int(device) if device.isdigit() else device or None,
                callback=self._play,
                finished_callback=self._gone.set,
            )
            self._stream.start()
        except (module.PortAudioError, ValueError, OSError) as error:
            reason = NO_DEVICE.format(device=device, error=str(error).partition("\n")[0])
            raise ChildFailed(reason + _there_are(module)) from error
        tell("live")

    def take(self, messages: list[WireMessage]) -> None:
        if self._gone.is_set():
            raise ChildFailed("the loudspeaker was lost")
        with self._lock:
            for message in messages:
                if message.kind == "sound":
                    self._buffer.push(message.fields["pts"] % (1 << 32), message.body)

    def progress(self) -> dict[str, object]:
        with self._lock:
            return {"buffer_ms": round(self._buffer.stats()["level_ms"])}

    def finish(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def _play(self, out: npt.NDArray[np.float32], frames: int, *_: object) -> None:
        with self._lock:
            out[:, 0] = self._buffer.read(frames)


def _there_are(module: Any) -> str:
    try:
        devices = module.query_devices()
    except module.PortAudioError:
        return ""
    names = [device["name"] for device in devices if device["max_output_channels"] > 0]
    return f"; there are: {', '.join(names)}" if names else "; this machine has none"


def _decode(payload: bytes) -> FloatArray:
    return np.frombuffer(payload, np.int16).astype(np.float32) / 32768


if __name__ == "__main__":
    serve(SpeakerProcess())
