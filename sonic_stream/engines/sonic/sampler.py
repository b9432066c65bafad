"""PURE. Euler steps along Karras sigmas, v-prediction, continuous timesteps.

Karras et al. 2022 (arXiv 2206.00364), eq. 5 with rho 7; the parametrisation is SVD's.
"""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from sonic_stream.media import FloatArray

SIGMA_MAX, SIGMA_MIN, RHO = 700.0, 0.002, 7.0


def karras_sigmas(steps: int) -> FloatArray:
    """[steps + 1] falling from 700 to 0.002, then 0. `ValueError` for less than one step."""
    if steps < 1:
        raise ValueError(f"the sampler needs at least one step, not {steps}")
    high, low = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    sigmas = (high + np.linspace(0, 1, steps) * (low - high)) ** RHO
    return np.append(sigmas, 0).astype(np.float32)


def timestep(sigma: float) -> float:
    """What the UNet is told of a noise level."""
    return 0.25 * math.log(sigma)


def scale_input(latents: Tensor, sigma: float | Tensor) -> Tensor:
    return latents / (sigma**2 + 1) ** 0.5


def clean_estimate(latents: Tensor, v: Tensor, sigma: float | Tensor) -> Tensor:
    """The denoised latents that a v-prediction stands for."""
    power = sigma**2 + 1
    return latents / power - v * (sigma / power**0.5)


def euler_step(
    latents: Tensor, v: Tensor, sigma: float | Tensor, next_sigma: float | Tensor
) -> Tensor:
    """One step in float32; sigmas are numbers, or tensors that broadcast over [B, F, C, h, w]."""
    wide = latents.float()
    slope = (wide - clean_estimate(wide, v.float(), sigma)) / sigma
    return (wide + slope * (next_sigma - sigma)).to(latents.dtype)
