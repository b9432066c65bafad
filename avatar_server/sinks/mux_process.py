"""The child process of the sinks that write containers: to a file, or to a server.

When the server dies its input ends, and a file is finished all the same.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from avatar_server.sinks.child_process import ChildFailed, serve, tell
from avatar_server.sinks.mux import Muxer, MuxSettings
from avatar_server.sinks.srt_socket import SrtSocket
from avatar_server.worker.wire import WireMessage

MIN_FREE_BYTES = 50_000_000
REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EFBIG: "the file may not grow any more",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "it may not be written there",
    errno.ECONNREFUSED: "the server does not answer there (connection refused)",
    errno.ETIMEDOUT: "the server does not answer",
    errno.ECONNRESET: "the server closed the connection",
    errno.EPIPE: "the server closed the connection",
    errno.EIO: "the server refused the stream or closed the connection",
}
NO_PROTOCOL = "the FFmpeg inside PyAV here does not speak this protocol; pip install --upgrade av"


class MuxProcess:
    """Settings are those of `MuxSettings`; `folder` and `stem` instead of `target` mean a new
    file."""

    def __init__(self) -> None:
        self._muxer: Muxer | None = None
        self._file: Path | None = None
        self._srt: SrtSocket | None = None
        self._live = False

    def open(self, fields: dict[str, Any]) -> None:
        folder, stem = fields.pop("folder", ""), fields.pop("stem", "")
        with told():
            if folder:
                self._file = new_file(Path(folder), stem, fields["format"])
                fields["target"] = str(self._file)
                self._check_disk()
            if fields["target"].startswith("srt:"):
                fields["target"] = self._srt = SrtSocket(fields["target"])
            self._muxer = Muxer(MuxSettings(**fields | {"fps": Fraction(*fields["fps"])}))

    def take(self, messages: list[WireMessage]) -> None:
        assert self._muxer is not None
        with told():
            for message in messages:
                self._mux(self._muxer, message)
        if not self._live and self._muxer.began:
            self._live = True
            tell("live", **({"file": self._file.name} if self._file else {}))

    def progress(self) -> dict[str, object]:
        assert self._muxer is not None
        self._check_disk()
        return {"seconds": round(self._muxer.seconds, 2)}

    def finish(self) -> None:
        muxer, self._muxer = self._muxer, None
        with told():
            try:
                if muxer is not None:
                    muxer.close()
            finally:
                if self._srt is not None:
                    self._srt.close()
            if self._file is not None and not self._live:  # nothing was recorded
                self._file.unlink(missing_ok=True)

    def _mux(self, muxer: Muxer, message: WireMessage) -> None:
        fields = message.fields
        match message.kind:
            case "picture":
                muxer.picture(message.body, fields["pts"], keyframe=fields["keyframe"])
            case "sound":
                muxer.sound(np.frombuffer(message.body, np.int16), fields["pts"])
            case "caption":
                muxer.caption(**fields)

    def _check_disk(self) -> None:
        if self._file and shutil.disk_usage(self._file.parent).free < MIN_FREE_BYTES:
            raise ChildFailed("the disk is nearly full; the recording was ended in good order")


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Failures of files and connections in words."""
    try:
        yield
    except av.error.ProtocolNotFoundError as error:
        raise ChildFailed(NO_PROTOCOL, final=True) from error
    except (av.FFmpegError, OSError) as error:
        raise ChildFailed(REASONS.get(error.errno or 0, str(error))) from error


def new_file(folder: Path, stem: str, suffix: str) -> Path:
    """An empty file of a name that was free, in a folder that is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 1000):
        path = folder / (f"{stem}.{suffix}" if number == 1 else f"{stem}-{number}.{suffix}")
        with contextlib.suppress(FileExistsError):
            path.touch(exist_ok=False)
            return path
    raise OSError(errno.EEXIST, f"there are too many recordings named {stem}")


if __name__ == "__main__":
    serve(MuxProcess())
