"""PURE. Sizes of every part of the model: the official ones, and reduced ones for tests."""

from __future__ import annotations

from dataclasses import dataclass

AUDIO_TOKENS = 32  # per frame, from audio2token
LATENT_FACTOR = 8  # pixels per latent, each way
LATENT_CHANNELS = 4
VAE_SCALE = 0.18215
LATENT_FPS = 12.5  # the fps id, and the rate of denoised frames; RIFE doubles it


@dataclass(frozen=True)
class UNetConfig:
    """SVD's spatio-temporal UNet: four levels, the outermost first."""

    channels: tuple[int, int, int, int] = (320, 640, 1280, 1280)
    heads: tuple[int, int, int, int] = (5, 10, 20, 20)
    layers: int = 2
    cross_dim: int = 1024
    add_time_dim: int = 256

    @property
    def time_dim(self) -> int:
        return 4 * self.channels[0]


@dataclass(frozen=True)
class VaeConfig:
    channels: tuple[int, int, int, int] = (128, 256, 512, 512)


@dataclass(frozen=True)
class ClipConfig:
    """The vision tower. `cross_dim` of the UNet is its projection's width."""

    hidden: int = 1280
    mlp: int = 5120
    layers: int = 32
    heads: int = 16
    patch: int = 14
    projection: int = 1024


@dataclass(frozen=True)
class AudioConfig:
    """Whisper's encoder states -> audio tokens and motion buckets."""

    whisper: int = 384
    whisper_layers: int = 4
    whisper_heads: int = 6
    hidden: int = 1024
    token_dim: int = 1024
    clip_dim: int = 1024


@dataclass(frozen=True)
class ModelConfig:
    unet: UNetConfig = UNetConfig()
    vae: VaeConfig = VaeConfig()
    clip: ClipConfig = ClipConfig()
    audio: AudioConfig = AudioConfig()


FULL = ModelConfig()
REDUCED = ModelConfig(
    UNetConfig((32, 64, 96, 96), (2, 4, 6, 6), 2, 80, 16),
    VaeConfig((32, 32, 64, 64)),
    ClipConfig(32, 64, 2, 4, 32, 80),
    AudioConfig(48, 4, 2, 32, 80, 80),
)
