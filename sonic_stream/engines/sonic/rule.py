"""Weights by rule: every value follows from its name, so two implementations can be compared.

Rule v1. For a parameter `key` of a checkpoint file: z is PCG64's standard normal, seeded with the
first eight bytes (little-endian) of sha256("w:" + key); rank >= 2 is scaled by fan-in, norm weights
are 1 + 0.1 z (PReLU slopes of RIFE 0.25 + 0.1 z), biases 0.1 z, other vectors 0.5 z.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def rule_tensor(key: str, shape: tuple[int, ...]) -> Tensor:
    """The float32 value of a parameter, named as in its checkpoint file."""
    seed = int.from_bytes(hashlib.sha256(f"w:{key}".encode()).digest()[:8], "little")
    z = np.random.Generator(np.random.PCG64(seed)).standard_normal(math.prod(shape), np.float32)
    return torch.from_numpy(_scaled(key, shape, z.reshape(shape)))


def _scaled(key: str, shape: tuple[int, ...], z: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    if len(shape) >= 2:
        return z * np.float32(math.prod(shape[1:]) ** -0.5)
    if key.endswith(".weight"):
        prelu = key.startswith("module.block")  # RIFE has no norm; its vectors are PReLU slopes
        return np.float32(0.25 if prelu else 1.0) + np.float32(0.1) * z
    return np.float32(0.1 if key.endswith(".bias") else 0.5) * z


def rule_state(shapes: Mapping[str, tuple[int, ...]], prefix: str = "") -> dict[str, Tensor]:
    """A whole state dict; `prefix` is what the file puts before each key."""
    return {key: rule_tensor(prefix + key, tuple(shape)) for key, shape in shapes.items()}
