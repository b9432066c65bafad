"""Classifier-free guidance: nothing; the portrait; the portrait and the voice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sonic_stream.engines.sonic.config import LATENT_FPS
from sonic_stream.engines.sonic.unet import Conditions

Denoiser = Callable[[Tensor, Tensor, Conditions], Tensor]
BRANCHES = 3


@dataclass(frozen=True)
class Guidance:
    """v = v0 + appearance * (v1 - v0) + audio * (v2 - v1)."""

    appearance: float = 2.0
    audio: float = 7.5


@dataclass(frozen=True)
class Identity:
    """What a portrait gives the UNet: clip [1, X], unscaled latents [4, h, w], masks by tokens,
    and the tokens of silence [32, X]."""

    clip: Tensor
    latents: Tensor
    masks: dict[int, Tensor]
    silence: Tensor


@dataclass(frozen=True)
class MotionScale:
    """Upstream's `dynamic_scale` for both motion buckets (head and expression), and a factor of
    the head's alone."""

    dynamic: float = 1.0
    head: float = 1.0


def added_ids(buckets: Tensor, scale: MotionScale, fps: float = LATENT_FPS) -> Tensor:
    """Motion buckets [F, 2] -> ids [1, 3] of a window: fps and the buckets' means."""
    means = buckets.mean(dim=0) * buckets.new_tensor([scale.head, 1.0]) * scale.dynamic
    return torch.cat([means.new_tensor([fps]), means])[None]


def branch_conditions(identity: Identity, audio: Tensor, ids: Tensor) -> Conditions:
    """The three branches as one batch; audio [F, 32, X], ids [1, 3]."""
    frames = len(audio)
    clip = identity.clip.expand(frames, 1, -1)
    portrait = identity.latents.expand(frames, -1, -1, -1)
    silence = identity.silence.expand(frames, -1, -1)
    return Conditions(
        clip=torch.stack([torch.zeros_like(clip), clip, clip]),
        audio=torch.stack([silence, silence, audio]),
        added_ids=ids.expand(BRANCHES, -1),
        masks=identity.masks,
        portrait=torch.stack([torch.zeros_like(portrait), portrait, portrait]),
    )


def one_branch(conditions: Conditions, branch: int) -> Conditions:
    pick = slice(branch, branch + 1)
    return Conditions(
        clip=conditions.clip[pick],
        audio=conditions.audio[pick],
        added_ids=conditions.added_ids[pick],
        masks=conditions.masks,
        portrait=conditions.portrait[pick],
    )


def joined(parts: Sequence[Conditions]) -> Conditions:
    """Several streams' conditions as one batch; each entry keeps its own portrait's mask."""
    return Conditions(
        clip=torch.cat([part.clip for part in parts]),
        audio=torch.cat([part.audio for part in parts]),
        added_ids=torch.cat([part.added_ids for part in parts]),
        masks={
            tokens: torch.cat([part.masks[tokens].expand(len(part.clip), -1, -1) for part in parts])
            for tokens in parts[0].masks
        },
        portrait=torch.cat([part.portrait for part in parts]),
    )


def combine(branches: Tensor, guidance: Guidance) -> Tensor:
    """Predictions [3, F, 4, h, w] -> the guided one [F, 4, h, w]."""
    nothing, seen, heard = branches
    return nothing + guidance.appearance * (seen - nothing) + guidance.audio * (heard - seen)


def guided(
    unet: Denoiser,
    latents: Tensor,
    timestep: Tensor,
    conditions: Conditions,
    guidance: Guidance,
    *,
    together: bool = True,
) -> Tensor:
    """Scaled latents [F, 4, h, w], timestep [] -> v [F, 4, h, w]. One branch after the other
    (`together=False`) needs a third of the activations' memory."""
    if together:
        batch = latents.expand(BRANCHES, *latents.shape)
        return combine(unet(batch, timestep.expand(BRANCHES), conditions), guidance)
    made = [
        unet(latents[None], timestep.expand(1), one_branch(conditions, branch))[0]
        for branch in range(BRANCHES)
    ]
    return combine(torch.stack(made), guidance)
