"""The model's parts together, empty, with weights by rule, or (see `weights`) with real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sonic_stream.engines.sonic.audio import build_audio
from sonic_stream.engines.sonic.config import FULL, REDUCED, ModelConfig
from sonic_stream.engines.sonic.encoders import build_clip, build_vae
from sonic_stream.engines.sonic.rife import Rife
from sonic_stream.engines.sonic.rule import rule_state
from sonic_stream.engines.sonic.unet import SonicUNet

# What a checkpoint file puts before each key of the module.
PREFIXES = {"rife": "module.", "whisper": "model.encoder."}


def build(part: str, config: ModelConfig) -> nn.Module:
    """An uninitialised part, on the current default device."""
    makers: dict[str, Callable[[], nn.Module]] = {
        "unet": lambda: SonicUNet(config.unet),
        "vae": lambda: build_vae(config.vae),
        "image_encoder": lambda: build_clip(config.clip),
        "rife": Rife,
    }
    if part in makers:
        return makers[part]().eval()
    audio = build_audio(config.audio)
    names: dict[str, nn.Module] = {
        "whisper": audio.whisper,
        "audio2token": audio.token,
        "audio2bucket": audio.bucket,
    }
    return names[part]


def fill_by_rule(module: nn.Module, part: str) -> nn.Module:
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    module.load_state_dict(rule_state(shapes, PREFIXES.get(part, "")), assign=True)
    return module


@dataclass
class Parts:
    """Parts made when first asked for. Only the latest full-size one is kept: they are big."""

    make: Callable[[str, ModelConfig], nn.Module]
    _kept: dict[tuple[str, bool], nn.Module] = field(default_factory=dict)

    @classmethod
    def by_rule(cls) -> Parts:
        return cls(lambda part, config: fill_by_rule(build(part, config), part))

    def get(self, part: str, *, full: bool) -> nn.Module:
        key = (part, full)
        if key not in self._kept:
            if full and part in ("unet", "image_encoder"):
                self._kept = {k: v for k, v in self._kept.items() if not k[1]}
            with torch.device("cpu"):
                self._kept[key] = self.make(part, FULL if full else REDUCED)
        return self._kept[key]


def worst(got: Tensor, wanted: Any) -> float:
    """The largest absolute difference; infinite where shapes differ."""
    if tuple(got.shape) != tuple(wanted.shape):
        return float("inf")
    return float((got.float() - torch.as_tensor(np.asarray(wanted)).float()).abs().max())
