"""The child process of the virtual camera: decodes the pictures and shows them there.

The camera library (GPL) is loaded in this process alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import av
from av.codec.context import CodecContext

from avatar_server.sinks.child_process import ChildFailed, serve, tell
from avatar_server.worker.wire import WireMessage

MISSING = "virtual cameras need another package: pip install 'avatar-server[vcam]'"
NO_DEVICE = (
    "no virtual camera could be opened ({error}); on Linux load v4l2loopback "
    "(modprobe v4l2loopback), on Windows and macOS install OBS Studio"
)


class CameraProcess:
    def __init__(self) -> None:
        self._camera: Any = None
        self._decoder: Any = None
        self._shown = 0

    def open(self, fields: dict[str, Any]) -> None:
        name, _, attribute = fields["backend"].partition(":")
        size = fields["size_px"]
        try:
            module = import_module(name)
            self._camera = getattr(module, attribute)(
                width=size,
                height=size,
                fps=fields["fps"],
                fmt=module.PixelFormat.I420,
                device=fields["device"] or None,
            )
        except ModuleNotFoundError as error:
            raise ChildFailed(MISSING, final=True) from error
        except (RuntimeError, ValueError, OSError) as error:
            raise ChildFailed(NO_DEVICE.format(error=error), final=True) from error
        self._decoder = CodecContext.create(fields["codec"], "r")
        tell("live", device=str(self._camera.device))

    def take(self, messages: list[WireMessage]) -> None:
        """Decode all, show the newest: what waited is late already."""
        newest = None
        for message in messages:
            if message.kind == "picture":
                newest = self._decoded(message.body) or newest
        if newest is None:
            return
        try:
            self._camera.send(newest.to_ndarray(format="yuv420p"))
        except (RuntimeError, OSError) as error:
            raise ChildFailed(f"the camera was lost ({error})") from error
        self._shown += 1

    def progress(self) -> dict[str, object]:
        return {"shown": self._shown}

    def finish(self) -> None:
        if self._camera is not None:
            self._camera.close()

    def _decoded(self, data: bytes) -> av.VideoFrame | None:
        try:
            frames = self._decoder.decode(av.Packet(data))
        except av.FFmpegError:
            return None
        return frames[-1] if frames else None


if __name__ == "__main__":
    serve(CameraProcess())
