"""Which source drives the avatar: a microphone or nothing, overridden by what is queued."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from avatar_server.errors import AvatarError
from avatar_server.protocol import Settings
from avatar_server.sources.base import Played, Source
from avatar_server.sources.local import LocalMicrophone
from avatar_server.sources.microphone import Microphone, MicrophonePath, MicrophoneSettings
from avatar_server.sources.playlist import Playlist
from sonic_stream.media import FloatArray

SPEAKING_RMS = 10 ** (-45 / 20)
TALK_OVER_MS = 120  # this much talk in a row is meant, a cough is not

Base = Literal["mic", "local", "idle"]


def microphone_settings(settings: Settings) -> MicrophoneSettings:
    """What of the settings is the microphones' affair."""
    return MicrophoneSettings(
        muted=settings.mic_muted,
        noise_suppression=settings.noise_suppression,
        gate=settings.voice_gate,
        auto_gain=settings.auto_gain,
        listen=settings.barge_in == "voice",
    )


class Voice:
    """The session's one voice. Text, files and PCM play over the microphone and then give it
    back: while they do, the microphone is listened to for talk-over only.

    `on_problem` learns why a queued source ended early.
    """

    def __init__(self, on_problem: Callable[[AvatarError], None] = lambda _: None) -> None:
        self.playlist = Playlist(on_problem)
        self._base: Base = "idle"
        self._paths: dict[str, MicrophonePath] = {}
        self._settings = MicrophoneSettings()
        self._level = 0.0
        self._pts = 0

    @property
    def kind(self) -> str:
        return self.playlist.kind if self.playlist.sounding else self._base

    @property
    def speaking(self) -> bool:
        return self._level > SPEAKING_RMS

    @property
    def talked_over(self) -> bool:
        """With `barge_in`: somebody has been talking into a microphone while something plays."""
        return (
            self._settings.listen
            and self.playlist.sounding
            and any(path.talk_ms >= TALK_OVER_MS for path in self._paths.values())
        )

    def attach(self, base: Base, microphone: Microphone | None) -> Microphone | None:
        """The microphone behind `mic` or `local` from now on; returns the former one."""
        former = self._paths.pop(base, None)
        if microphone is not None:
            self._paths[base] = MicrophonePath(microphone, self._settings)
        return former.microphone if former else None

    def microphone_stats(self) -> dict[str, float]:
        path = self._paths.get(self._base) or self._paths.get("mic")
        return path.microphone.stats() if path else {}

    def configure(self, settings: Settings) -> None:
        """Raises `SourceError` when noise suppression is wanted and not installed."""
        microphone = microphone_settings(settings)
        microphone.check()
        self._settings = microphone
        self.playlist.loop, self.playlist.volume = settings.loop, settings.volume
        for path in self._paths.values():
            path.configure(microphone)

    def select(self, base: Base) -> None:
        self._base = base

    def enqueue(self, source: Source) -> None:
        self.playlist.enqueue(source)

    def heard(self, timeline_pts: int) -> None:
        """Everything before `timeline_pts` has left for the viewers."""
        self.playlist.heard(timeline_pts, self._pts - timeline_pts)

    def cut(self, timeline_pts: int) -> Played | None:
        """Drop what is queued; what was given after `timeline_pts` is not heard."""
        return self.playlist.cut(timeline_pts, self._pts - timeline_pts)

    def skip(self, timeline_pts: int, *, back: bool) -> Played | None:
        return self.playlist.skip(timeline_pts, self._pts - timeline_pts, back=back)

    async def close(self) -> None:
        self._base = "idle"
        await self.playlist.close()
        local = self.attach("local", None)
        if isinstance(local, LocalMicrophone):
            await local.close()

    def read(self, count: int) -> FloatArray:
        """The next samples; microphones are read even when unused, so that they hold no past."""
        heard = {name: path.read(count) for name, path in self._paths.items()}
        samples = self.playlist.read(count, self._pts)
        if not self.playlist.sounding and self._base in heard:
            # Both: in the read in which the queue ends, its rest and the microphone meet.
            samples = samples + heard[self._base]
        self._pts += count
        rms = float(np.sqrt(np.mean(np.square(samples)))) if count else 0.0
        self._level = max(rms, self._level * 0.8)
        return samples
