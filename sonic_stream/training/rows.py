"""Whole sounds to mel power rows, by the very functions that the engine streams with."""

from __future__ import annotations

import numpy as np

from sonic_stream.engines.lite import features
from sonic_stream.media import FloatArray


def mel_power(samples: FloatArray) -> FloatArray:
    """Mel power [n // 160, 80] of a sound [n] at 16 kHz; row i as in `engines.lite.features`."""
    padded = np.concatenate([np.zeros(features.WINDOW - features.HOP, np.float32), samples])
    if len(padded) < features.WINDOW:
        return np.zeros((0, features.BANDS), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(padded, features.WINDOW)[:: features.HOP]
    taper = np.hanning(features.WINDOW).astype(np.float32)
    logs = features.log_mel(windows, features.mel_matrix(), taper)
    return np.asarray(np.exp(logs), np.float32)
