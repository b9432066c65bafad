"""All parts of the model, loaded and placed; what every stream of a process shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from sonic_stream.engines.sonic.accelerate import Placement, accelerated, place, place_unet
from sonic_stream.engines.sonic.audio import AudioBucket, AudioPath, AudioToken, WhisperEncoder
from sonic_stream.engines.sonic.config import FULL, REDUCED
from sonic_stream.engines.sonic.encoders import decode, embed_portrait, encode_portrait
from sonic_stream.engines.sonic.guidance import Denoiser, Identity
from sonic_stream.engines.sonic.parts import build, fill_by_rule
from sonic_stream.engines.sonic.picture import Prepared
from sonic_stream.engines.sonic.rife import Rife
from sonic_stream.engines.sonic.tiny import build_tiny
from sonic_stream.engines.sonic.unet import face_masks
from sonic_stream.engines.sonic.weights import (
    TINY_DECODER,
    load_part,
    load_tiny_decoder,
    missing,
)
from sonic_stream.media import ByteArray

RANDOM, REDUCED_RANDOM = "random", "random-reduced"
DECODERS = ("auto", "full", "tiny")
AUDIO_PARTS = ("whisper", "audio2token", "audio2bucket")


@dataclass(frozen=True)
class SonicModel:
    """The audio path stays in float32 on the CPU for streams (see `live_audio`): it is small."""

    unet: Denoiser
    vae: nn.Module
    clip: nn.Module
    rife: Rife
    audio: AudioPath
    placement: Placement
    tiny: nn.Module | None = None  # decodes instead of the VAE

    @classmethod
    def load(cls, weights: str, placement: Placement, decoder: str = "full") -> SonicModel:
        """Weights of a folder, or values by rule (`random`, `random-reduced`): they cost the same.

        `decoder`: "full", "tiny", or "auto": tiny where the folder has its file.
        Raises `ValueError` that says what is missing or wrong, and what to do.
        """
        placement = placement.resolve()
        source = _source(weights)
        unet = place_unet(source("unet"), placement)
        return cls(
            unet=accelerated(unet, placement),
            vae=place(source("vae"), placement),
            clip=place(source("image_encoder"), placement),
            rife=cast(Rife, place(source("rife"), placement)),
            audio=audio_path(weights),
            placement=placement,
            tiny=_tiny(weights, placement, decoder),
        )

    @torch.inference_mode()
    def identity(self, prepared: Prepared) -> Identity:
        """All that the portrait alone decides, computed once."""
        picture = self._placed(prepared.picture[None])
        latents = encode_portrait(self.vae, picture)[0]
        mask = torch.from_numpy(prepared.mask)[None].to(self.placement.device)
        return Identity(
            clip=embed_portrait(self.clip, self._placed(prepared.clip[None])),
            latents=latents,
            masks=face_masks(mask, latents.shape[1], latents.shape[2], self.placement.dtype),
            silence=self.audio.silence().to(self.placement.device, self.placement.dtype),
        )

    @torch.inference_mode()
    def pictures(self, latents: Tensor, piece: int) -> Tensor:
        """Clean latents [F, 4, h, w] -> pictures [F, 3, H, W] in 0..1."""
        if self.tiny is not None:
            parts = [self.tiny(part) for part in latents.split(piece)]
        else:
            parts = [part.float() * 0.5 + 0.5 for part in decode(self.vae, latents, piece)]
        return torch.cat([part.clamp(0, 1).to(self.placement.dtype) for part in parts])

    @torch.inference_mode()
    def doubled(self, pictures: Tensor) -> Tensor:
        """Pictures [F + 1, 3, H, W] -> [2 F, 3, H, W]: before each but the first, the one
        half-way from its predecessor."""
        middles = self.rife(pictures[:-1], pictures[1:])
        return torch.stack([middles, pictures[1:]], dim=1).flatten(0, 1)

    def _placed(self, array: np.ndarray) -> Tensor:  # type: ignore[type-arg]
        return torch.from_numpy(array).to(self.placement.device, self.placement.dtype)


def audio_path(weights: str) -> AudioPath:
    """The audio parts alone; `weights` as for `SonicModel.load`."""
    source = _source(weights)
    whisper, token, bucket = (source(name).float().requires_grad_(False) for name in AUDIO_PARTS)
    return AudioPath(
        cast(WhisperEncoder, whisper), cast(AudioToken, token), cast(AudioBucket, bucket)
    )


def _tiny(weights: str, placement: Placement, decoder: str) -> nn.Module | None:
    if decoder not in DECODERS:
        raise ValueError(f"decoder is one of {', '.join(DECODERS)}, not {decoder!r}")
    random = weights in (RANDOM, REDUCED_RANDOM)
    there = not random and (Path(weights) / TINY_DECODER).is_file()
    if decoder == "full" or (decoder == "auto" and not there):
        return None
    tiny = build_tiny()
    made = fill_by_rule(tiny, "tiny") if random else load_tiny_decoder(tiny, Path(weights))
    return place(made, placement)


def to_bytes(pictures: Tensor) -> ByteArray:
    """[F, 3, H, W] in 0..1 -> uint8 [F, H, W, 3], truncated as upstream writes them."""
    scaled = (pictures.float() * 255).to(torch.uint8).permute(0, 2, 3, 1)
    return scaled.contiguous().cpu().numpy()


def _source(weights: str) -> Callable[[str], nn.Module]:
    """How one part is made. Raises `ValueError` when files are missing."""
    config = REDUCED if weights == REDUCED_RANDOM else FULL
    if weights in (RANDOM, REDUCED_RANDOM):
        return lambda part: fill_by_rule(build(part, config), part)
    problems = missing(Path(weights)) if weights else ["engine.weights names no folder"]
    if problems:
        raise ValueError(
            "the sonic engine has no weights: " + "; ".join(problems) + ". Get them with "
            "'avatar-server weights fetch DIR' and set engine.weights to that folder"
        )

    def load(part: str) -> nn.Module:
        with torch.device("meta"):
            empty = build(part, config)
        return load_part(empty, Path(weights), part)

    return load
