"""Rooms, noises, microphones, codecs, other throats: put on in the mel domain (no sound made).

All in the power or log-power domain of a batch [B, T, 80]; randomness is torch's generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sonic_stream.engines.lite.features import BANDS

ROOM_DECAY = 13.8  # natural logarithm of 60 dB
SILENT_SHARE = 0.15  # crops without speech: loud noise must leave the mouth shut


@dataclass(frozen=True)
class Heard:
    """What a microphone hears, log-mel [B, T, 80]; which crops hold speech [B]; the speaker's
    share of each row, the mean over its bands [B, T]."""

    log_mel: Tensor
    speaks: Tensor
    share: Tensor


@dataclass(frozen=True)
class Augment:
    """`noise` [m, 80]: log-mel rows to draw noise from, at least as long as a crop."""

    noise: Tensor

    def __call__(self, log_mel: Tensor) -> Heard:
        """Clean log-mel [B, T, 80], as a microphone would hear it."""
        batch = len(log_mel)
        speaks = torch.rand(batch, 1, 1) >= SILENT_SHARE
        voice = _room(_throat(log_mel).exp() * speaks)
        noise = self._noise(voice, speaks) * _onset(batch, log_mel.shape[1])
        gain, floor = _microphone(batch, log_mel.shape[1])
        gained = (voice + noise) * gain + floor
        share = (voice * gain / gained).mean(2)
        return Heard(_codec(_electronics(torch.log(gained))), speaks[:, 0, 0], share)

    def _noise(self, power: Tensor, speaks: Tensor) -> Tensor:
        batch, length, _ = power.shape
        noise = self._draw(batch, length)
        noise = noise + self._draw(batch, length) * _decibels(_uniform(batch, -30, 5))
        loud = torch.quantile(power.mean(2), 0.8, dim=1).view(batch, 1, 1)
        loud = torch.where(speaks, loud, torch.full_like(loud, 3e-3))
        snr_db = torch.where(speaks, _uniform(batch, 3, 45), _uniform(batch, -6, 22))
        present = _chance(batch, 0.8) | ~speaks
        mean = noise.mean((1, 2), keepdim=True) + 1e-9
        return noise / mean * loud * _decibels(-snr_db) * present

    def _draw(self, batch: int, length: int) -> Tensor:
        starts = torch.randint(0, len(self.noise) - length, (batch, 1))
        return self.noise[starts + torch.arange(length)].exp()


def _throat(log_mel: Tensor) -> Tensor:
    """Formants moved by up to 16 %, spectral contrast changed."""
    batch, length, bands = log_mel.shape
    warp = _uniform(batch, -0.16, 0.16) * _chance(batch, 0.7)
    source = (torch.arange(bands) * (1 + warp)).clamp(0, bands - 1.001).expand(batch, length, bands)
    below = source.floor().long()
    share = source - below
    moved = log_mel.gather(2, below) * (1 - share) + log_mel.gather(2, below + 1) * share
    mean = moved.mean(2, keepdim=True)
    return mean + (moved - mean) * _uniform(batch, 0.8, 1.15)


def _room(power: Tensor) -> Tensor:
    """A late reverberation of 0.12 to 0.8 s on half of the crops."""
    batch, length, bands = power.shape
    decay = torch.exp(-ROOM_DECAY / (_uniform(batch, 12, 80)[:, 0]))
    gain = _decibels(_uniform(batch, -22, -4)[:, 0]) * _chance(batch, 0.5)[:, 0]
    tail = torch.zeros(batch, bands)
    heard = []
    for row in range(length):
        heard.append(power[:, row] + gain * tail)
        tail = tail * decay + power[:, row] * (1 - decay) * 6
    return torch.stack(heard, 1)


def _microphone(batch: int, length: int) -> tuple[Tensor, Tensor]:
    """Equaliser, band limits, gain with drift: factors [B, T, 80]; and the floor [B, 1, 1]."""
    place = torch.arange(BANDS).float().view(1, 1, BANDS) / BANDS
    curve_db = _uniform(batch, -6, 6) * (place - 0.5) * 2
    for ripples in (1, 2, 3):
        phase = torch.pi * ripples * place + _uniform(batch, 0, 6.28)
        curve_db = curve_db + _uniform(batch, -4, 4) * torch.cos(phase)
    low, high = _uniform(batch, 0.02, 0.16), _uniform(batch, 0.70, 0.97)
    curve_db = curve_db - _chance(batch, 0.2) * 60 * torch.sigmoid((low - place) * 60)
    curve_db = curve_db - _chance(batch, 0.25) * 60 * torch.sigmoid((place - high) * 60)
    drift_db = _uniform(batch, -6, 6) * torch.linspace(-1, 1, length).view(1, length, 1)
    gain = _decibels(curve_db + _uniform(batch, -34, 10) + drift_db)
    return gain, torch.exp(_uniform(batch, -18.5, -13))


def _electronics(log_mel: Tensor) -> Tensor:
    """Some bands lost, noise within each band."""
    for _ in range(2):
        log_mel = _lose_bands(log_mel)
    return log_mel + 0.25 * torch.randn(log_mel.shape) * _chance(len(log_mel), 0.5)


def _lose_bands(log_mel: Tensor) -> Tensor:
    batch = len(log_mel)
    width = int(torch.randint(1, 11, (1,)))
    first = torch.randint(0, BANDS - width, (batch, 1))
    band = torch.arange(BANDS)
    lost = (band >= first) & (band < first + width) & (torch.rand(batch, 1) < 0.35)
    return torch.where(lost[:, None], log_mel.mean(2, keepdim=True) - 1.5, log_mel)


def _onset(batch: int, length: int) -> Tensor:
    """Noise that sets in, or stops, at once somewhere in a third of the crops [B, T, 1]."""
    place = torch.rand(batch, 1, 1) * length
    later = torch.arange(length).view(1, length, 1) > place
    return torch.where(_chance(batch, 0.2), later, torch.where(_chance(batch, 0.15), ~later, True))


def _codec(log_mel: Tensor) -> Tensor:
    """Lossy coding: what is far below the loudest band of its row is lost, now and then."""
    floor = log_mel.amax(2, keepdim=True) - _uniform(len(log_mel), 3.5, 9)
    return torch.where(_chance(len(log_mel), 0.25), log_mel.maximum(floor), log_mel)


def _uniform(batch: int, low: float, high: float) -> Tensor:
    return torch.rand(batch, 1, 1) * (high - low) + low


def _chance(batch: int, share: float) -> Tensor:
    return torch.rand(batch, 1, 1) < share


def _decibels(value: Tensor) -> Tensor:
    return torch.pow(10.0, value / 10)
