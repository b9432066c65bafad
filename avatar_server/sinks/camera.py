"""A virtual camera on this machine, for meeting programs and studios."""

from __future__ import annotations

from avatar_server.sinks.base import Feed
from avatar_server.sinks.child import ChildSink, Program

CODEC = "vp8"  # which browsers watch, so that mostly nothing more is encoded
BACKEND = "pyvirtualcam:Camera"


class Camera(ChildSink):
    """`device`: a name as the system knows it; "" is the first one. `backend` is the import
    string of a class like pyvirtualcam's `Camera`."""

    def __init__(self, device: str, feed: Feed, backend: str = BACKEND) -> None:
        settings = {
            "backend": backend,
            "device": device,
            "codec": CODEC,
            "fps": float(feed.fps),
            "size_px": feed.size_px,
        }
        module = "avatar_server.sinks.camera_process"
        super().__init__("camera", device, Program(module, settings, CODEC), feed)
