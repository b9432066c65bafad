"""What every microphone goes through: activity, noise suppression, gain, gate, mute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from avatar_server.sources.denoise import Denoiser
from avatar_server.sources.gain import AutoGain, Gate
from avatar_server.sources.vad import VoiceActivity
from sonic_stream.media import FloatArray


class Microphone(Protocol):
    """The receive buffer of a microphone."""

    def read(self, n_samples: int) -> FloatArray: ...

    def stats(self) -> dict[str, float]:
        """At least `level_ms` and `concealed`."""
        ...


@dataclass(frozen=True, slots=True)
class MicrophoneSettings:
    """`listen`: tell of talk even when nothing else needs to know of it."""

    muted: bool = False
    noise_suppression: bool = False
    gate: bool = False
    auto_gain: bool = False
    listen: bool = False

    def check(self) -> None:
        """Raises `SourceError` when something is wanted that is not installed."""
        if self.noise_suppression:
            Denoiser()


class MicrophonePath:
    """One microphone and what is done to its sound. A part that is switched off costs nothing
    and delays nothing."""

    def __init__(self, microphone: Microphone, settings: MicrophoneSettings) -> None:
        self.microphone = microphone
        self._muted = False
        self._denoiser: Denoiser | None = None
        self._activity: VoiceActivity | None = None
        self._gate: Gate | None = None
        self._gain: AutoGain | None = None
        self._muted_before = False
        self.configure(settings)

    @property
    def talk_ms(self) -> int:
        return self._activity.talk_ms if self._activity and not self._muted else 0

    def configure(self, settings: MicrophoneSettings) -> None:
        """Raises `SourceError` when noise suppression is wanted and not installed."""
        if settings.noise_suppression and self._denoiser is None:
            self._denoiser = Denoiser()
        if not settings.noise_suppression:
            self._denoiser = None
        knows = settings.gate or settings.auto_gain or settings.listen
        self._activity = (self._activity or VoiceActivity()) if knows else None
        self._gate = (self._gate or Gate()) if settings.gate else None
        self._gain = (self._gain or AutoGain()) if settings.auto_gain else None
        self._muted = settings.muted

    def read(self, count: int) -> FloatArray:
        samples = self.microphone.read(count)
        talking = False
        if self._activity:  # what is left of noise flickers more than the noise itself
            self._activity.push(samples)
            talking = self._activity.active
        if self._denoiser:
            samples = self._denoiser.push(samples)
        if self._gain:
            samples = self._gain.push(samples, talking=talking)
        if self._gate:
            samples = self._gate.push(samples, talking=talking)
        return self._mute(samples)

    def _mute(self, samples: FloatArray) -> FloatArray:
        if self._muted or self._muted_before:
            ends = (float(not self._muted_before), float(not self._muted))
            samples = samples * np.linspace(*ends, len(samples), dtype=np.float32)
        self._muted_before = self._muted
        return samples
