"""Streaming conversion to the session's 48 kHz: libswresample, through PyAV."""

from __future__ import annotations

import av
import numpy as np

from avatar_server.sources.base import RATE_HZ
from sonic_stream.media import FloatArray


class ToSession:
    """Mono float32 at `rate_hz` in, at 48 kHz out, in any pieces. The filter holds some samples
    back: `flush` gives them when nothing more comes."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)

    def push(self, samples: FloatArray) -> FloatArray:
        if self._rate_hz == RATE_HZ or not len(samples):
            return samples
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = self._rate_hz
        return self._joined(self._resampler.resample(frame))

    def flush(self) -> FloatArray:
        if self._rate_hz == RATE_HZ:
            return np.zeros(0, np.float32)
        return self._joined(self._resampler.resample(None))

    def _joined(self, frames: list[av.AudioFrame]) -> FloatArray:
        pieces = [frame.to_ndarray()[0] for frame in frames]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
