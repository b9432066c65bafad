"""Opens sinks as the configuration permits, and keeps the recordings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from avatar_server import protocol
from avatar_server.clock import date_stamp
from avatar_server.config import SinksSection
from avatar_server.rtc.peer import RtcSettings
from avatar_server.sinks import addresses, srt
from avatar_server.sinks.base import Feed, Sink, SinkError
from avatar_server.sinks.camera import Camera
from avatar_server.sinks.recording import CODECS, Recording
from avatar_server.sinks.rtmp import Push
from avatar_server.sinks.speaker import Speaker
from avatar_server.sinks.whip import Whip, WhipSettings

WHIP_CODECS = {"vp8": ("vp8", "h264"), "h264": ("h264", "vp8")}
SCHEMES = {
    "whip": ("https", "http"),
    "relay": ("turn",),
    "rtmp": ("rtmp", "rtmps"),
    "srt": ("srt",),
}
RECORDING = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]*\.(mp4|webm)")


class Outlets:
    """`local`: nobody but this machine reaches the server."""

    def __init__(
        self, section: SinksSection, rtc: RtcSettings, recordings: Path, *, local: bool
    ) -> None:
        self._enabled = section.enabled
        self._hosts: Sequence[str] = section.allowed_hosts or (["*"] if local else [])
        self._rtc = rtc
        self._recordings = recordings
        self._shared = local or section.share_recordings

    def open(self, command: protocol.OpenSink, feed: Feed) -> Sink:
        """Raises `SinkError` or `BadAddress`; what only shows later is told by the sink."""
        if command.kind not in self._enabled:
            raise SinkError(
                f"the operator of this server has switched {command.kind!r} off", "not_allowed"
            )
        match command:
            case protocol.OpenRecording():
                stem = command.name or f"avatar_{date_stamp()}"
                return Recording(self._recordings, stem, command.format, feed)
            case protocol.OpenWhip():
                return Whip(self._whip(command), feed)
            case protocol.OpenPush():
                target = self._check(command.url, command.kind)
                if command.kind == "srt":
                    srt.parse(command.url)
                return Push(command.url, target, feed)
            case protocol.OpenDevice() if command.kind == "camera":
                return Camera(command.device, feed)
            case protocol.OpenDevice():
                return Speaker(command.device, feed)

    def recordings(self) -> list[dict[str, object]]:
        """The newest first; reads the folder. Raises `SinkError` where they are not shared."""
        self._check_shared()
        files = [path for ending in CODECS for path in self._recordings.glob(f"*.{ending}")]
        stats = sorted(((path.stat(), path) for path in files), key=lambda s: -s[0].st_mtime)
        return [{"name": path.name, "bytes": stat.st_size} for stat, path in stats]

    def recording(self, name: str) -> Path:
        """Raises `SinkError` when there is none of that name, or they are not shared."""
        self._check_shared()
        path = self._recordings / name
        if not RECORDING.fullmatch(name) or not path.is_file():
            raise NoRecording(f"there is no recording {name!r}")
        return path

    def _check_shared(self) -> None:
        if not self._shared:
            raise NotShared(
                "recordings are not given out here; they lie in the folder paths.recordings, and "
                "the operator can share them: [sinks] share_recordings = true"
            )

    def _whip(self, command: protocol.OpenWhip) -> WhipSettings:
        check = partial(self._check, kind="whip")
        return WhipSettings(
            url=command.url,
            target=check(command.url),
            token=command.token,
            codecs=WHIP_CODECS[command.codec],
            rtc=self._rtc,
            check=check,
            check_relay=partial(self._check, kind="relay"),
        )

    def _check(self, url: str, kind: str) -> str:
        return addresses.check(url, SCHEMES[kind], self._hosts)


class NotShared(SinkError):
    code = "not_allowed"
    status = 403


class NoRecording(SinkError):
    code = "no_recording"
    status = 404
