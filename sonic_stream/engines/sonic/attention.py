"""Attention of the UNet: a shared query for the identity's CLIP vector and the audio tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def sinusoid(values: Tensor, dim: int) -> Tensor:
    """Values [...] -> [..., dim]: cosines, then sines, of frequencies down to 1/10000."""
    rates = torch.arange(dim // 2, dtype=torch.float32, device=values.device) / (dim // 2)
    angles = values.float()[..., None] * torch.exp(-math.log(10000) * rates)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def token_mask(mask: Tensor, tokens: int) -> Tensor:
    """Face mask [1, 1, H, W] -> its weight for each of a level's tokens [1, tokens, 1].

    The level's rows follow from the aspect ratio alone; bicubic, so weights overshoot 0..1.
    """
    height, width = mask.shape[-2:]
    rows = int(math.sqrt(tokens / (width / height)))
    rows += tokens % rows != 0
    scaled = functional.interpolate(
        mask, (rows, tokens // rows), mode="bicubic", align_corners=False
    )
    flat = scaled.reshape(-1)[:tokens]
    return functional.pad(flat, (0, tokens - flat.numel())).view(1, tokens, 1)


class SelfAttention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_k = nn.Linear(dim, dim, bias=False)
        self.to_v = nn.Linear(dim, dim, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(dim, dim)])

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, C] -> [B, N, C]"""
        q, k, v = (split(part(x), self.heads) for part in (self.to_q, self.to_k, self.to_v))
        return self.to_out[0](join(functional.scaled_dot_product_attention(q, k, v)))


class _AudioAdapter(nn.Module):
    """Keys and values of the audio tokens; the names are the checkpoint's."""

    def __init__(self, dim: int, cross_dim: int) -> None:
        super().__init__()
        self.to_k_ip = nn.ModuleList([nn.Linear(cross_dim, dim, bias=False)])
        self.to_v_ip = nn.ModuleList([nn.Linear(cross_dim, dim, bias=False)])


class CrossAttention(nn.Module):
    """softmax(q k(clip)) v(clip) + mask * softmax(q k(audio)) v(audio), then the output map.

    The identity is one token, whose softmax is 1: its part is `v(clip)` whatever the query.
    """

    def __init__(self, dim: int, heads: int, cross_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_k = nn.Linear(cross_dim, dim, bias=False)  # in the file, without effect
        self.to_v = nn.Linear(cross_dim, dim, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(dim, dim)])
        self.processor = _AudioAdapter(dim, cross_dim)

    def forward(self, x: Tensor, clip: Tensor, audio: Tensor, mask: Tensor | None) -> Tensor:
        """x [B, N, C], clip [B, 1, D], audio [B, 32, D], mask [1 or B, N, 1] -> [B, N, C]"""
        k = split(self.processor.to_k_ip[0](audio), self.heads)
        v = split(self.processor.to_v_ip[0](audio), self.heads)
        heard = join(functional.scaled_dot_product_attention(split(self.to_q(x), self.heads), k, v))
        if mask is not None:
            heard = heard * mask
        return self.to_out[0](self.to_v(clip) + heard)


class _Gate(nn.Module):
    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(dim, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * functional.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        # The middle place is a dropout of zero in the file's numbering.
        self.net = nn.ModuleList([_Gate(dim, 4 * dim), nn.Identity(), nn.Linear(4 * dim, dim)])

    def forward(self, x: Tensor) -> Tensor:
        return self.net[2](self.net[0](x))


def split(x: Tensor, heads: int) -> Tensor:
    """[B, N, C] -> [B, heads, N, C / heads]"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join(x: Tensor) -> Tensor:
    """[B, heads, N, C / heads] -> [B, N, C]"""
    return x.transpose(1, 2).flatten(2)
