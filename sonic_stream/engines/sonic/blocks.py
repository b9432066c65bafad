"""Residual and transformer blocks that mix space and time. Letters: [B * F, C, H, W], F frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sonic_stream.engines.sonic.attention import (
    CrossAttention,
    FeedForward,
    SelfAttention,
    sinusoid,
)

GROUPS = 32


@dataclass(frozen=True)
class Context:
    """What every block of one UNet call sees.

    emb [B * F, D] of time and added ids; clip [B * F, 1, X]; audio [B * F, 32, X]; their means
    over the frames for the temporal blocks [B, 1 or 32, X]; masks by number of tokens.
    """

    frames: int
    emb: Tensor
    clip: Tensor
    audio: Tensor
    clip_mean: Tensor
    audio_mean: Tensor
    masks: dict[int, Tensor]


class Embedding(nn.Module):
    def __init__(self, dim: int, inner: int, out: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(dim, inner)
        self.linear_2 = nn.Linear(inner, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(functional.silu(self.linear_1(x)))


class Mixer(nn.Module):
    """A learned blend of the spatial and the temporal path."""

    def __init__(self) -> None:
        super().__init__()
        self.mix_factor = nn.Parameter(torch.full((1,), 0.5))

    def forward(self, spatial: Tensor, temporal: Tensor) -> Tensor:
        return torch.lerp(temporal, spatial, torch.sigmoid(self.mix_factor).to(spatial.dtype))


class _SpatialResidual(nn.Module):
    def __init__(self, dim: int, out: int, emb: int, eps: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, dim, eps)
        self.conv1 = nn.Conv2d(dim, out, 3, padding=1)
        self.time_emb_proj = nn.Linear(emb, out)
        self.norm2 = nn.GroupNorm(GROUPS, out, eps)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(dim, out, 1) if dim != out else None

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(functional.silu(self.norm1(x)))
        h = h + self.time_emb_proj(functional.silu(emb))[:, :, None, None]
        h = self.conv2(functional.silu(self.norm2(h)))
        return h + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class _TemporalResidual(nn.Module):
    """Convolutions over three frames, run as 2-D ones over [frames, pixels]."""

    def __init__(self, dim: int, emb: int, eps: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, dim, eps)
        self.conv1 = nn.Conv3d(dim, dim, (3, 1, 1))
        self.time_emb_proj = nn.Linear(emb, dim)
        self.norm2 = nn.GroupNorm(GROUPS, dim, eps)
        self.conv2 = nn.Conv3d(dim, dim, (3, 1, 1))

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """x [B, C, F, H * W], emb [B, F, D]"""
        h = self._convolve(self.conv1, functional.silu(self.norm1(x)))
        h = h + self.time_emb_proj(functional.silu(emb)).transpose(1, 2)[..., None]
        return x + self._convolve(self.conv2, functional.silu(self.norm2(h)))

    @staticmethod
    def _convolve(conv: nn.Conv3d, x: Tensor) -> Tensor:
        return functional.conv2d(x, conv.weight[..., 0], conv.bias, padding=(1, 0))


class Residual(nn.Module):
    def __init__(self, dim: int, out: int, emb: int, eps: float) -> None:
        super().__init__()
        self.spatial_res_block = _SpatialResidual(dim, out, emb, eps)
        self.temporal_res_block = _TemporalResidual(out, emb, eps)
        self.time_mixer = Mixer()

    def forward(self, x: Tensor, context: Context) -> Tensor:
        x = self.spatial_res_block(x, context.emb)
        frames, shape = context.frames, x.shape
        across = x.flatten(2).unflatten(0, (-1, frames)).transpose(1, 2)  # [B, C, F, H * W]
        moved = self.temporal_res_block(across, context.emb.unflatten(0, (-1, frames)))
        return self.time_mixer(across, moved).transpose(1, 2).reshape(shape)


class _SpatialBlock(nn.Module):
    def __init__(self, dim: int, heads: int, cross_dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn1 = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.attn2 = CrossAttention(dim, heads, cross_dim)
        self.norm3 = nn.LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """[B * F, N, C] -> [B * F, N, C]"""
        x = x + self.attn1(self.norm1(x))
        mask = context.masks.get(x.shape[1])
        x = x + self.attn2(self.norm2(x), context.clip, context.audio, mask)
        return x + self.ff(self.norm3(x))


class _TemporalBlock(nn.Module):
    def __init__(self, dim: int, heads: int, cross_dim: int) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(dim)
        self.ff_in = FeedForward(dim)
        self.norm1 = nn.LayerNorm(dim)
        self.attn1 = SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.attn2 = CrossAttention(dim, heads, cross_dim)
        self.norm3 = nn.LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """[B * F, N, C] -> [B * F, N, C]; attention runs over the frames of each pixel."""
        pixels = x.shape[1]
        x = x.unflatten(0, (-1, context.frames)).transpose(1, 2).flatten(0, 1)  # [B * N, F, C]
        x = x + self.ff_in(self.norm_in(x))
        x = x + self.attn1(self.norm1(x))
        # All pixels share the clip's mean tokens: one long query for each batch entry.
        query = self.norm2(x).reshape(len(context.clip_mean), -1, x.shape[-1])
        heard = self.attn2(query, context.clip_mean, context.audio_mean, None)
        x = x + heard.view_as(x)
        x = x + self.ff(self.norm3(x))
        return x.unflatten(0, (-1, pixels)).transpose(1, 2).flatten(0, 1)


class Transformer(nn.Module):
    def __init__(self, dim: int, heads: int, cross_dim: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, dim, 1e-6)
        self.proj_in = nn.Linear(dim, dim)
        self.transformer_blocks = nn.ModuleList([_SpatialBlock(dim, heads, cross_dim)])
        self.temporal_transformer_blocks = nn.ModuleList([_TemporalBlock(dim, heads, cross_dim)])
        self.time_pos_embed = Embedding(dim, 4 * dim, dim)
        self.time_mixer = Mixer()
        self.proj_out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        h = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        h = self.transformer_blocks[0](h, context)
        places = torch.arange(context.frames, device=h.device)
        place = self.time_pos_embed(sinusoid(places, h.shape[-1]).to(h.dtype))
        moved = h + place.repeat(len(h) // context.frames, 1)[:, None]
        h = self.time_mixer(h, self.temporal_transformer_blocks[0](moved, context))
        return x + self.proj_out(h).transpose(1, 2).reshape(x.shape)
