"""RTMP and SRT: H.264 as it was encoded once for all, and AAC, pushed to a server."""

from __future__ import annotations

from urllib.parse import urlsplit

from avatar_server.sinks.base import Feed
from avatar_server.sinks.child import ChildSink, Program
from avatar_server.sinks.recording import mux_settings

CONTAINERS = {"rtmp": "flv", "rtmps": "flv", "srt": "mpegts"}


class Push(ChildSink):
    """Tries again until it is closed, waiting longer each time. `target` is what people may
    see of `url`."""

    def __init__(self, url: str, target: str, feed: Feed) -> None:
        scheme = urlsplit(url).scheme
        settings = {"target": url, **mux_settings(feed, CONTAINERS[scheme], "h264")}
        program = Program("avatar_server.sinks.mux_process", settings, "h264", keyframes=True)
        super().__init__("srt" if scheme == "srt" else "rtmp", target, program, feed)
