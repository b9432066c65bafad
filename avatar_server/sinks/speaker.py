"""The loudspeaker of the machine that the server runs on."""

from __future__ import annotations

from avatar_server.sinks.base import Feed
from avatar_server.sinks.child import ChildSink, Program

BACKEND = "sounddevice:OutputStream"
QUEUE_BYTES = 50_000  # half a second; old sound is of no use


class Speaker(ChildSink):
    """`device`: a name or number as sounddevice knows it; "" is the system's default.
    `backend` is the import string of a class like sounddevice's `OutputStream`."""

    def __init__(self, device: str, feed: Feed, backend: str = BACKEND) -> None:
        settings = {"backend": backend, "device": device}
        module = "avatar_server.sinks.speaker_process"
        program = Program(module, settings, queue_bytes=QUEUE_BYTES)
        super().__init__("speaker", device, program, feed)
