"""Live features: the encoder hears a bounded, rolling context instead of a 30 s piece.

Upstream's frame i begins at 80 i ms and hears 80 ms before and 120 ms after that. Here the
denoised frame is the second of its pair on screen (RIFE makes the first): it begins 40 ms later,
and hears 120 ms after its beginning too, which is 80 ms beyond its own end. So does every frame
of a stream that denoises all 25 a second.

Two things cannot be as offline. The mel floor follows a peak that falls slowly instead of the
piece's own maximum; and the motion bucket looks at the last second instead of half a second of
future, and is smoothed, for it steers the whole window.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from sonic_stream.engines.sonic.audio import (
    BUCKET_WINDOW,
    TOKEN_WINDOW,
    AudioPath,
    scale_buckets,
)
from sonic_stream.engines.sonic.mel import HOP, RATE_HZ, WINDOW, LogMel
from sonic_stream.engines.sonic.offline import Voice
from sonic_stream.smoothing import kept

TOKEN_SAMPLES = 2 * HOP
LOOK_AHEAD_SAMPLES = 80 * RATE_HZ // 1000  # beyond the end of the newest latent frame
PIECE_S = 30  # of which the encoder knows the places
CONTEXT_S = 4.0
TAIL_S = 0.5  # silence after the newest sound: the encoder never heard a cut
SPEECH_PEAK = 1.0  # log10 mel power of ordinary speech; silence is not stretched beyond it
PEAK_FALL_PER_S = 0.1
BUCKET_HALF_LIFE_S = 1.0


@dataclass
class LiveAudioState:
    """`samples` [n] are the latest heard. Tensors are never written to."""

    samples: Tensor
    peak: float = SPEECH_PEAK
    buckets: Tensor | None = None

    def clone(self) -> LiveAudioState:
        return LiveAudioState(self.samples, self.peak, self.buckets)


class LiveAudio:
    """Sound in, tokens and buckets of one hop out, as soon as they can be known."""

    def __init__(
        self,
        path: AudioPath,
        frames: int,
        fps: float,
        context_s: float = CONTEXT_S,
        tail_s: float = TAIL_S,
    ) -> None:
        """`frames`: the most that will be asked for at once, of `fps` a second. Raises
        `ValueError` for a context too short for them, or longer, with its tail, than a piece."""
        if not 0 <= tail_s <= PIECE_S - context_s:
            raise ValueError(f"context and tail together are at most {PIECE_S} s")
        self._path = path
        self._tail = round(tail_s * RATE_HZ)
        self._step = round(RATE_HZ / fps) // TOKEN_SAMPLES  # tokens from frame to frame
        self._context = round(context_s * RATE_HZ) // TOKEN_SAMPLES * TOKEN_SAMPLES
        if self._context < (BUCKET_WINDOW + frames * self._step) * TOKEN_SAMPLES:
            raise ValueError(f"an audio context of {context_s} s is too short for {frames} frames")
        self._mel = LogMel()

    def init_state(self) -> LiveAudioState:
        """As after a long silence."""
        return LiveAudioState(torch.zeros(self._context + WINDOW // 2))

    def hear(self, state: LiveAudioState, new: Tensor, frames: int, clip: Tensor) -> Voice:
        """The new sound [n], up to the look-ahead of the last of so many latent frames, and the
        portrait's CLIP vector [X] -> tokens [frames, 32, X], buckets [frames, 2]."""
        state.samples = torch.cat([state.samples, new])[-self._context - WINDOW // 2 :]
        states = self._encode(state, len(new) / RATE_HZ)
        windows = states[-(frames - 1) * self._step - TOKEN_WINDOW :]
        tokens = self._path.token(windows.unfold(0, TOKEN_WINDOW, self._step).permute(0, 3, 1, 2))
        raw = self._path.bucket(states[None, -BUCKET_WINDOW:, -1:], clip[None])
        bucket = scale_buckets(raw)[0]
        if state.buckets is not None:
            share = float(kept(BUCKET_HALF_LIFE_S, len(new) / RATE_HZ))
            bucket = bucket + (state.buckets - bucket) * share
        state.buckets = bucket
        return Voice(tokens, bucket.expand(frames, 2))

    def _encode(self, state: LiveAudioState, passed_s: float) -> Tensor:
        """Encoder states [context / 320, 5, C] of the context."""
        heard = torch.cat([state.samples, torch.zeros(self._tail)])
        frames = heard.unfold(0, WINDOW, HOP)
        log_power = self._mel.log_power_of_windows(frames)
        loudest = float(log_power.max())
        state.peak = max(loudest, SPEECH_PEAK, state.peak - PEAK_FALL_PER_S * passed_s)
        mel = LogMel.compress(log_power, torch.tensor(state.peak))
        mel = functional.pad(mel, (0, mel.shape[1] % 2))
        return self._path.whisper(mel[None])[0, : self._context // TOKEN_SAMPLES]
