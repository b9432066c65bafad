"""Whisper's log-mel front end: 80 Slaney bands, 25 ms windows every 10 ms, at 16 kHz."""

from __future__ import annotations

import math

import torch
from torch import Tensor

RATE_HZ, WINDOW, HOP, BANDS = 16000, 400, 160, 80
FLOOR_BELOW_PEAK = 8.0  # log10 units
# Slaney's mel scale: linear to 1 kHz, then 27 steps for each factor of 6.4.
LINEAR_STEP_HZ, KNEE_HZ, LOG_STEP = 200 / 3, 1000.0, math.log(6.4) / 27
KNEE_MEL = KNEE_HZ / LINEAR_STEP_HZ


def mel_filters() -> Tensor:
    """[80, 201]: triangles of equal area over the bins of the spectrum."""
    top = KNEE_MEL + math.log(RATE_HZ / 2 / KNEE_HZ) / LOG_STEP
    mels = torch.linspace(0, top, BANDS + 2, dtype=torch.float64)
    high = KNEE_HZ * torch.exp(LOG_STEP * (mels - KNEE_MEL))
    edges = torch.where(mels < KNEE_MEL, mels * LINEAR_STEP_HZ, high)
    bins = torch.linspace(0, RATE_HZ / 2, WINDOW // 2 + 1, dtype=torch.float64)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    area = 2 / (edges[2:] - edges[:-2])
    return (torch.minimum(rise, fall).clamp(min=0) * area[:, None]).float()


class LogMel:
    """`power` of sound and `compress` to what the encoder hears; the floor is the caller's."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._filters = mel_filters().to(device)
        self._taper = torch.hann_window(WINDOW, device=device)

    def log_power(self, samples: Tensor) -> Tensor:
        """Samples [n] -> log10 mel power [80, n // 160], windows centred, edges reflected."""
        spectrum = torch.stft(samples, WINDOW, HOP, window=self._taper, return_complex=True)
        power = self._filters @ spectrum[..., :-1].abs() ** 2
        return power.clamp(min=1e-10).log10()

    def log_power_of_windows(self, windows: Tensor) -> Tensor:
        """Windows [m, 400], each on its own -> [80, m]: a stream's way to the same numbers."""
        spectrum = torch.fft.rfft(windows * self._taper)
        return (self._filters @ (spectrum.abs() ** 2).T).clamp(min=1e-10).log10()

    @staticmethod
    def compress(log_power: Tensor, peak: Tensor) -> Tensor:
        """Nothing lies more than 8 below the peak; about -1..1."""
        return (torch.maximum(log_power, peak - FLOOR_BELOW_PEAK) + 4) / 4
