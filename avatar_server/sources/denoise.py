"""Noise suppression for a microphone: WebRTC's own, from the optional package webrtc-noise-gain.

It knows 16 kHz only. What lies above 8 kHz is kept and follows the gain that the suppressor gave
to what lies below, so that a voice does not sound like a telephone.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from avatar_server.sources.base import SourceError
from sonic_stream.media import FloatArray
from sonic_stream.resample import Decimator, lowpass

FACTOR = 3
FRAME = 160  # 10 ms at 16 kHz
LEVEL = 3  # of 4: -18 dB
OWN_DELAY = 96  # of the suppressor, in samples at 16 kHz
FIR_DELAY = 47  # down and up again, in samples at 48 kHz
# Output is due FRAME later: a frame must be whole before it is worked on.
HIGH_DELAY = FIR_DELAY + FACTOR * (OWN_DELAY + FRAME)
DELAY_MS = HIGH_DELAY / 48


def available() -> bool:
    return find_spec("webrtc_noise_gain") is not None


class Denoiser:
    """n samples at 48 kHz in, n out, `DELAY_MS` later. Raises `SourceError` when the package is
    not installed."""

    def __init__(self) -> None:
        self._processor = _processor()
        self._down = Decimator(FACTOR)
        self._up = Interpolator(FACTOR)
        self._waiting: FloatArray = np.zeros(0, np.float32)  # at 16 kHz, less than a frame
        self._low: FloatArray = np.zeros(OWN_DELAY, np.float32)
        self._ready: FloatArray = np.zeros(FRAME * FACTOR, np.float32)
        self._gains: FloatArray = np.ones(FRAME * FACTOR, np.float32)
        self._high: FloatArray = np.zeros(HIGH_DELAY, np.float32)
        self._gain = 1.0

    def push(self, samples: FloatArray) -> FloatArray:
        self._waiting = np.concatenate([self._waiting, self._down.push(samples)])
        while len(self._waiting) >= FRAME:
            frame, self._waiting = self._waiting[:FRAME], self._waiting[FRAME:]
            self._suppress(frame)
        count = len(samples)
        joined = np.concatenate([self._high, samples])
        high, self._high = joined[:count], joined[count:]
        low, self._ready = self._ready[:count], self._ready[count:]
        gains, self._gains = self._gains[:count], self._gains[count:]
        return np.asarray(low + gains * high, np.float32)

    def _suppress(self, frame: FloatArray) -> None:
        """Queue the low band cleaned, less the raw one scaled: with the whole raw sound scaled
        alike, what remains is the clean low band and the scaled high one."""
        pcm = (np.clip(frame, -1, 1) * 32767).astype(np.int16)
        clean = np.frombuffer(self._processor.Process10ms(pcm.tobytes()).audio, np.int16)
        joined = np.concatenate([self._low, frame])
        raw, self._low = joined[:FRAME], joined[FRAME:]
        power = float(raw @ raw)
        low = np.asarray(clean, np.float32) / 32767
        gain = min(float(np.sqrt((low @ low) / power)), 1.0) if power > 1e-9 else self._gain
        ramp = np.linspace(self._gain, gain, FRAME, dtype=np.float32)
        self._gain = gain
        self._ready = np.concatenate([self._ready, self._up.push(low - ramp * raw)])
        self._gains = np.concatenate([self._gains, np.repeat(ramp, FACTOR)])


class Interpolator:
    """Causal FIR interpolation by `factor`; its delay is that of `Decimator`."""

    def __init__(self, factor: int) -> None:
        self._factor = factor
        self._kernel = factor * lowpass(factor)
        self._history: FloatArray = np.zeros(len(self._kernel) // factor - 1, np.float32)

    def push(self, samples: FloatArray) -> FloatArray:
        joined = np.concatenate([self._history, samples])
        self._history = joined[len(samples) :]
        stuffed = np.zeros(len(joined) * self._factor, np.float32)
        stuffed[:: self._factor] = joined
        filtered = np.convolve(stuffed, self._kernel)
        start = len(self._history) * self._factor
        return np.asarray(filtered[start : start + len(samples) * self._factor], np.float32)


def _processor() -> Any:
    try:
        from webrtc_noise_gain import AudioProcessor
    except ImportError as error:
        raise SourceError(
            "noise suppression is not installed; pip install 'avatar-server[noise]'", "no_noise"
        ) from error
    return AudioProcessor(0, LEVEL)
