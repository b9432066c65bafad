"""SVD's VAE and CLIP tower: stock modules, which fit the official files unchanged."""

from __future__ import annotations

from collections.abc import Iterator

from diffusers import AutoencoderKLTemporalDecoder
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from sonic_stream.engines.sonic.config import VAE_SCALE, ClipConfig, VaeConfig

DECODE_FRAMES = 8  # the temporal layers see one such piece, as upstream decodes


def build_vae(config: VaeConfig) -> nn.Module:
    vae: nn.Module = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * len(config.channels),
        block_out_channels=config.channels,
        layers_per_block=2,
        latent_channels=4,
        scaling_factor=VAE_SCALE,
    )
    return vae.eval()


def build_clip(config: ClipConfig) -> nn.Module:
    shape = CLIPVisionConfig(
        hidden_size=config.hidden,
        intermediate_size=config.mlp,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        patch_size=config.patch,
        image_size=224,
        projection_dim=config.projection,
        hidden_act="gelu",
        layer_norm_eps=1e-5,
    )
    clip: nn.Module = CLIPVisionModelWithProjection(shape)
    return clip.eval()


def encode_portrait(vae: nn.Module, picture: Tensor) -> Tensor:
    """Picture [1, 3, H, W] in -1..1 -> posterior mean [1, 4, H / 8, W / 8], unscaled."""
    mean: Tensor = vae.encode(picture).latent_dist.mode()
    return mean


def decode(vae: nn.Module, latents: Tensor, piece: int = DECODE_FRAMES) -> Iterator[Tensor]:
    """Scaled latents [F, 4, h, w] -> pictures [<= piece, 3, H, W] in -1..1, unclamped."""
    for part in (latents / VAE_SCALE).split(piece):
        yield vae.decode(part, num_frames=len(part)).sample


def embed_portrait(clip: nn.Module, pixels: Tensor) -> Tensor:
    """CLIP pixels [1, 3, 224, 224] -> embedding [1, X]."""
    embedding: Tensor = clip(pixels).image_embeds
    return embedding
