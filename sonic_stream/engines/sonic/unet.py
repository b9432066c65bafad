"""The spatio-temporal UNet with audio in every cross-attention. Keys as in `Sonic/unet.pth`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sonic_stream.engines.sonic.attention import sinusoid, token_mask
from sonic_stream.engines.sonic.blocks import GROUPS, Context, Embedding, Residual, Transformer
from sonic_stream.engines.sonic.config import LATENT_CHANNELS, UNetConfig

ADDED_IDS = 3  # fps and the two motion buckets


@dataclass(frozen=True)
class Conditions:
    """clip [B, F, 1, X], audio [B, F, 32, X], added ids [B, 3], masks [1 or B, N, 1] by number of
    tokens (`face_masks`), concat latents [B, F, 4, h, w] of the portrait."""

    clip: Tensor
    audio: Tensor
    added_ids: Tensor
    masks: dict[int, Tensor]
    portrait: Tensor


class _Resize(nn.Module):
    """The file calls the convolution `downsamplers.0.conv` or `upsamplers.0.conv`."""

    def __init__(self, dim: int, *, up: bool) -> None:
        super().__init__()
        self.up = up
        self.conv = nn.Conv2d(dim, dim, 3, stride=1 if up else 2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2.0) if self.up else x)


class _Level(nn.Module):
    """One level on the way down or up; `heads` 0 where it has no attention."""

    def __init__(
        self, widths: list[tuple[int, int]], heads: int, config: UNetConfig, eps: float
    ) -> None:
        super().__init__()
        emb, cross = config.time_dim, config.cross_dim
        self.resnets = nn.ModuleList([Residual(a, b, emb, eps) for a, b in widths])
        if heads:
            self.attentions = nn.ModuleList([Transformer(b, heads, cross) for _, b in widths])
        self.heads = heads

    def run(self, place: int, x: Tensor, context: Context) -> Tensor:
        x = self.resnets[place](x, context)
        return self.attentions[place](x, context) if self.heads else x


class _Down(_Level):
    def __init__(self, level: int, config: UNetConfig) -> None:
        dim = config.channels[level]
        into = config.channels[max(level - 1, 0)]
        last = level == len(config.channels) - 1
        widths = [(into if i == 0 else dim, dim) for i in range(config.layers)]
        super().__init__(widths, 0 if last else config.heads[level], config, 1e-5 if last else 1e-6)
        self.downsamplers = None if last else nn.ModuleList([_Resize(dim, up=False)])

    def forward(self, x: Tensor, context: Context) -> list[Tensor]:
        made = []
        for place in range(len(self.resnets)):
            x = self.run(place, x, context)
            made.append(x)
        return [*made, self.downsamplers[0](x)] if self.downsamplers is not None else made


class _Up(_Level):
    def __init__(self, level: int, config: UNetConfig) -> None:
        channels = config.channels
        dim, below = channels[level], channels[min(level + 1, len(channels) - 1)]
        skips = [dim] * config.layers + [channels[max(level - 1, 0)]]
        widths = [(skip + (below if i == 0 else dim), dim) for i, skip in enumerate(skips)]
        lowest = level == len(channels) - 1
        super().__init__(widths, 0 if lowest else config.heads[level], config, 1e-6)
        self.upsamplers = nn.ModuleList([_Resize(dim, up=True)]) if level else None

    def forward(self, x: Tensor, skips: list[Tensor], context: Context) -> Tensor:
        for place in range(len(self.resnets)):
            x = self.run(place, torch.cat([x, skips.pop()], dim=1), context)
        return self.upsamplers[0](x) if self.upsamplers is not None else x


class _Middle(nn.Module):
    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        dim, emb = config.channels[-1], config.time_dim
        self.attentions = nn.ModuleList([Transformer(dim, config.heads[-1], config.cross_dim)])
        self.resnets = nn.ModuleList([Residual(dim, dim, emb, 1e-5) for _ in range(2)])

    def forward(self, x: Tensor, context: Context) -> Tensor:
        x = self.attentions[0](self.resnets[0](x, context), context)
        return self.resnets[1](x, context)


class SonicUNet(nn.Module):
    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        outer, levels = config.channels[0], range(len(config.channels))
        self.conv_in = nn.Conv2d(2 * LATENT_CHANNELS, outer, 3, padding=1)
        self.time_embedding = Embedding(outer, config.time_dim, config.time_dim)
        added = ADDED_IDS * config.add_time_dim
        self.add_embedding = Embedding(added, config.time_dim, config.time_dim)
        self.down_blocks = nn.ModuleList([_Down(level, config) for level in levels])
        self.mid_block = _Middle(config)
        self.up_blocks = nn.ModuleList([_Up(level, config) for level in reversed(levels)])
        self.conv_norm_out = nn.GroupNorm(GROUPS, outer, 1e-5)
        self.conv_out = nn.Conv2d(outer, LATENT_CHANNELS, 3, padding=1)

    def forward(self, latents: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        """Scaled noisy latents [B, F, 4, h, w] and timesteps [B] or [B, F] -> v [B, F, 4, h, w]."""
        batch, frames = latents.shape[:2]
        x = self.conv_in(torch.cat([latents, conditions.portrait], dim=2).flatten(0, 1))
        context = self._context(timestep, batch, frames, conditions, x.dtype)
        skips = [x]
        for level in self.down_blocks:
            skips += level(skips[-1], context)
        x = self.mid_block(skips[-1], context)
        for level in self.up_blocks:
            x = level(x, skips, context)
        x = self.conv_out(functional.silu(self.conv_norm_out(x)))
        return x.unflatten(0, (batch, frames))

    def _context(
        self, timestep: Tensor, batch: int, frames: int, conditions: Conditions, dtype: torch.dtype
    ) -> Context:
        times = timestep if timestep.ndim == 2 else timestep[:, None].expand(batch, frames)
        emb = self.time_embedding(sinusoid(times, self.config.channels[0]).to(dtype))
        ids = sinusoid(conditions.added_ids, self.config.add_time_dim).flatten(1)
        emb = emb + self.add_embedding(ids.to(dtype))[:, None]
        return Context(
            frames=frames,
            emb=emb.flatten(0, 1),
            clip=conditions.clip.flatten(0, 1),
            audio=conditions.audio.flatten(0, 1),
            clip_mean=conditions.clip.mean(dim=1),
            audio_mean=conditions.audio.mean(dim=1),
            masks={tokens: _for_frames(m, frames) for tokens, m in conditions.masks.items()},
        )


def _for_frames(mask: Tensor, frames: int) -> Tensor:
    """[1 or B, N, 1] -> [1 or B * F, N, 1]"""
    return mask if len(mask) == 1 else mask.repeat_interleave(frames, dim=0)


def face_masks(mask: Tensor, height: int, width: int, dtype: torch.dtype) -> dict[int, Tensor]:
    """Face mask [1, 1, H, W] -> weights for each attention level of latents [height, width]."""
    levels = [(-(-height // 2**i), -(-width // 2**i)) for i in range(4)]
    return {h * w: token_mask(mask.float(), h * w).to(dtype) for h, w in levels}
