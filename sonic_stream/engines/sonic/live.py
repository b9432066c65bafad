"""Live denoising: a sliding window makes `hop` new latent frames on the tail of the past ones.

Two modes. `chunk`: the new frames go through all noise levels together; past frames in the window
are kept at the same level, so that they condition the new ones (as in inpainting). `staggered`:
noise levels rise along the window, each UNet call moves every frame one level down and completes
`hop` frames (diffusion forcing, arXiv 2407.01392; FIFO-diffusion, arXiv 2405.11473).

Latents are never decoded and encoded again. Every hop is pulled towards the portrait's own latent
statistics, not towards the previous hop's, so that colour and contrast cannot wander.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sonic_stream.engines.sonic.calls import Calls, Predictor
from sonic_stream.engines.sonic.config import LATENT_FPS, VAE_SCALE
from sonic_stream.engines.sonic.guidance import (
    Guidance,
    Identity,
    MotionScale,
    added_ids,
    branch_conditions,
)
from sonic_stream.engines.sonic.live_audio import CONTEXT_S, TAIL_S
from sonic_stream.engines.sonic.offline import Voice
from sonic_stream.engines.sonic.sampler import (
    SIGMA_MIN,
    euler_step,
    karras_sigmas,
    scale_input,
    timestep,
)
from sonic_stream.smoothing import kept

MODES = ("chunk", "staggered")
COMMON = "common"  # what all frames' common noise is drawn under
REST_BUCKET = 16.0
STEADY_HALF_LIFE_S = 0.4  # of brightness and contrast, at the calmest


@dataclass(frozen=True)
class LiveSettings:
    """All counts in latent frames: 80 ms each, or 40 ms where none is `doubled` by RIFE.

    `refresh`: the guidance difference is computed anew at every `refresh`-th noise level and
    reused between; 0: no guidance at all, a third of the cost. `anchor` 0..1: how strongly
    colour and contrast are held to the portrait's. `kinship` 0..1: the share of noise variance
    that all frames have in common.
    """

    mode: str = "chunk"
    steps: int = 4
    hop: int = 4
    context: int = 4
    overlap: int = 1
    refresh: int = 1
    anchor: float = 0.5
    kinship: float = 0.5
    guidance: Guidance = field(default_factory=Guidance)
    together: bool = True  # guidance's branches in one batch: faster, three times the memory
    doubled: bool = True
    hears_s: float = CONTEXT_S  # what the audio encoder remembers, and the silence after it
    tail_s: float = TAIL_S

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode is one of {', '.join(MODES)}, not {self.mode!r}")
        if not 1 <= self.steps <= 50 or self.hop < 1 or self.context < 1 or self.refresh < 0:
            raise ValueError(f"steps lie in 1..50, hop and context from 1, refresh from 0: {self}")
        if not 0 <= self.overlap <= self.context:
            raise ValueError(f"overlap must lie in 0..{self.context} (the context): {self}")
        if not (0 <= self.anchor <= 1 and 0 <= self.kinship < 1):
            raise ValueError(f"anchor lies in 0..1, kinship in 0..1 (exclusive): {self}")
        if not (self.hears_s >= 1.5 and self.tail_s >= 0 and self.hears_s + self.tail_s <= 30):
            raise ValueError(f"hears_s lies from 1.5, and with tail_s up to 30: {self}")

    @property
    def ahead(self) -> int:
        """Frames begun but not yet shown: their sound must have been heard."""
        return self.overlap if self.mode == "chunk" else (self.steps - 1) * self.hop

    @property
    def latent_fps(self) -> float:
        return LATENT_FPS if self.doubled else 2 * LATENT_FPS

    @property
    def window(self) -> int:
        return self.context + self.hop + self.ahead


@dataclass(frozen=True)
class Control:
    """What a viewer may change while the stream runs. `steadiness` 0..1: how slowly brightness
    and contrast follow, against the pulsing that diffusion leaves."""

    scale: MotionScale = field(default_factory=MotionScale)
    steadiness: float = 0.5


@dataclass(frozen=True)
class LiveState:
    """Latents [n, 4, h, w] and voice of the frames in the window.

    past: the last `context` clean frames; open: the `ahead` frames begun already; tone: mean and
    spread [2, 4, 1, 1] of the last frame's channels.
    """

    past: Tensor
    open: Tensor
    tokens: Tensor
    buckets: Tensor
    tone: Tensor
    frame: int = 0


class LiveDenoiser:
    """Read-only: settings and the noise of a seed; a hop makes a new `LiveState` of the old."""

    def __init__(self, settings: LiveSettings, seed: int) -> None:
        self._settings, self._seed = settings, seed
        self._sigmas = [float(sigma) for sigma in karras_sigmas(settings.steps)]

    def init_state(self, identity: Identity, first: Voice) -> LiveState:
        """As though the portrait had been shown, silent, for ever; `first` is the voice of the
        first `ahead` frames, which are begun before any is shown."""
        settings = self._settings
        rest = identity.latents * VAE_SCALE
        still = rest.expand(settings.context, *rest.shape)
        silence = identity.silence.expand(settings.context, *identity.silence.shape)
        at_rest = first.buckets.new_full((settings.context, 2), REST_BUCKET)
        ahead = rest.expand(settings.ahead, *rest.shape)
        if settings.mode == "staggered":
            levels = self._levels(rest)[settings.context : settings.context + settings.ahead]
            ahead = ahead + levels * self._noise(0, settings.ahead, rest)
        return LiveState(
            past=still,
            open=ahead,
            tokens=torch.cat([silence, first.tokens]),
            buckets=torch.cat([at_rest, first.buckets]),
            tone=tone_of(rest.float()),
        )

    def hop(
        self, state: LiveState, identity: Identity, voice: Voice, control: Control
    ) -> Calls[tuple[Tensor, LiveState]]:
        """The voice of `hop` further frames -> clean latents [hop, 4, h, w], the state after."""
        settings = self._settings
        tokens = torch.cat([state.tokens, voice.tokens])
        buckets = torch.cat([state.buckets, voice.buckets])
        ids = added_ids(buckets.float(), control.scale, settings.latent_fps).to(tokens.dtype)
        predictor = Predictor(
            branch_conditions(identity, tokens, ids),
            settings.guidance,
            settings.refresh,
            together=settings.together,
        )
        make = self._chunk if settings.mode == "chunk" else self._staggered
        clean, begun = yield from make(state, identity, predictor)
        portrait = identity.latents.float() * VAE_SCALE
        clean = anchored(clean.float(), portrait, settings.anchor)
        share = float(kept(STEADY_HALF_LIFE_S * control.steadiness, 1 / settings.latent_fps))
        clean, tone = steadied(clean, state.tone, share)
        clean = clean.to(begun.dtype)
        after = LiveState(
            past=torch.cat([state.past, clean])[-settings.context :],
            open=begun,
            tokens=tokens[settings.hop :],
            buckets=buckets[settings.hop :],
            tone=tone,
            frame=state.frame + settings.hop,
        )
        return clean, after

    def _chunk(
        self, state: LiveState, identity: Identity, predictor: Predictor
    ) -> Calls[tuple[Tensor, Tensor]]:
        settings, context = self._settings, self._settings.context
        fresh = settings.hop + settings.overlap
        noise = self._noise(state.frame - context, context + fresh, state.past)
        x = identity.latents * VAE_SCALE + self._sigmas[0] * noise[context:]
        for level, sigma in enumerate(self._sigmas[:-1]):
            held = state.past + sigma * noise[:context]
            window = torch.cat([held, x])
            scaled = scale_input(window, sigma)
            v = yield from predictor.predict(level, scaled, timestep(sigma))
            x = euler_step(x, v[context:], sigma, self._sigmas[level + 1])
        if settings.overlap:
            share = torch.arange(1, settings.overlap + 1, device=x.device) / (settings.overlap + 1)
            share = share[:, None, None, None].to(x.dtype)
            blended = torch.lerp(state.open, x[: settings.overlap], share)
            x = torch.cat([blended, x[settings.overlap :]])
        return x[: settings.hop], x[settings.hop :]

    def _staggered(
        self, state: LiveState, identity: Identity, predictor: Predictor
    ) -> Calls[tuple[Tensor, Tensor]]:
        settings, context = self._settings, self._settings.context
        rest = identity.latents * VAE_SCALE
        noise = self._noise(state.frame + settings.ahead, settings.hop, rest)
        levels = self._levels(rest)
        window = torch.cat([state.past, state.open, rest + self._sigmas[0] * noise])
        times = 0.25 * levels.flatten().log()
        v = yield from predictor.predict(0, scale_input(window, levels), times)
        lower = torch.cat([levels[:context], self._after(rest)])
        moved = euler_step(window, v, levels, lower)[context:]
        return moved[: settings.hop], moved[settings.hop :]

    def _levels(self, like: Tensor) -> Tensor:
        """Noise level of each frame in a staggered window [W, 1, 1, 1], the oldest first."""
        rising = [s for s in reversed(self._sigmas[:-1]) for _ in range(self._settings.hop)]
        levels = [SIGMA_MIN] * self._settings.context + rising
        return torch.tensor(levels, device=like.device)[:, None, None, None]

    def _after(self, like: Tensor) -> Tensor:
        falling = [s for s in reversed(self._sigmas[1:]) for _ in range(self._settings.hop)]
        return torch.tensor(falling, device=like.device)[:, None, None, None]

    def _noise(self, first: int, count: int, like: Tensor) -> Tensor:
        """Unit noise [count, 4, h, w] of the frames from `first` on: each frame's own is a
        function of seed and number, whatever the chunking or the device."""
        shape, kinship = like.shape[-3:], self._settings.kinship
        common = _draw(self._seed, COMMON, shape)
        own = torch.stack(
            [_draw(self._seed, frame, shape) for frame in range(first, first + count)]
        )
        return (kinship**0.5 * common + (1 - kinship) ** 0.5 * own).to(like)


def anchored(latents: Tensor, portrait: Tensor, amount: float) -> Tensor:
    """Latents [F, 4, h, w] with each channel's mean and spread moved towards the portrait's."""
    mean, spread = latents.mean((-2, -1), keepdim=True), latents.std((-2, -1), keepdim=True)
    wanted_mean = portrait.mean((-2, -1), keepdim=True)
    wanted_spread = portrait.std((-2, -1), keepdim=True)
    gain = (wanted_spread / spread.clamp(min=1e-4)) ** amount
    return (latents - mean) * gain + torch.lerp(mean, wanted_mean.expand_as(mean), amount)


def tone_of(latents: Tensor) -> Tensor:
    """Latents [..., h, w] -> mean and spread of each channel [2, ..., 1, 1]."""
    mean, spread = latents.mean((-2, -1), keepdim=True), latents.std((-2, -1), keepdim=True)
    return torch.stack([mean, spread.clamp(min=1e-4)])


def steadied(latents: Tensor, tone: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Latents [F, 4, h, w] whose channels' mean and spread keep a share of the frame before's;
    `tone` [2, 4, 1, 1] is that of the frame before the first. And that of the last."""
    made = []
    for frame in latents:
        own = tone_of(frame)
        tone = torch.lerp(own, tone, share)
        made.append((frame - own[0]) * (tone[1] / own[1]) + tone[0])
    return torch.stack(made), tone


def _draw(seed: int, frame: int | str, shape: torch.Size) -> Tensor:
    # torch's generator uses 32 bits of a seed: hashed, so that no two numbers meet in them.
    digest = hashlib.sha256(f"{seed}:{frame}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:4], "little"))
    return torch.randn(shape, generator=generator)
