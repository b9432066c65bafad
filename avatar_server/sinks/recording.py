"""The recording sink: MP4 with the pictures as they were encoded, or WebM with alpha."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from avatar_server.captions import Cue
from avatar_server.sinks.base import Feed
from avatar_server.sinks.child import ChildSink, Program
from avatar_server.worker.vp9 import VP9_ALPHA

Container = Literal["mp4", "webm"]
CODECS = {"mp4": "h264", "webm": VP9_ALPHA}
# A disk may be busy for a while: 16 MB are a minute of sound and picture.
QUEUE_BYTES = 16_000_000
STALL_S = 60.0


class Recording(ChildSink):
    """Writes a new file `stem`.mp4 or .webm into `folder`. A loss is the end: what is on the
    disk stays, and a second file would hide the hole."""

    def __init__(self, folder: Path, stem: str, container: Container, feed: Feed) -> None:
        settings = {
            "folder": str(folder),
            "stem": stem,
            **mux_settings(feed, container, CODECS[container]),
            "captions": True,
        }
        program = Program(
            "avatar_server.sinks.mux_process",
            settings,
            CODECS[container],
            keyframes=True,
            final=True,
            queue_bytes=QUEUE_BYTES,
            stall_s=STALL_S,
        )
        super().__init__("recording", container, program, feed)
        self._captions = feed.captions
        self._captions.listeners.add(self._caption)

    async def close(self) -> None:
        self._captions.listeners.discard(self._caption)
        await super().close()

    def _caption(self, cue: Cue) -> None:
        times = {"start_pts": cue.start_pts, "end_pts": cue.end_pts}
        self._say("caption", {"text": cue.text, **times, "final": cue.final})


def mux_settings(feed: Feed, container: str, codec: str) -> dict[str, object]:
    return {
        "format": container,
        "codec": codec,
        "fps": [feed.fps.numerator, feed.fps.denominator],
        "size_px": feed.size_px,
        "latency_samples": feed.latency_samples,
    }
