"""Where and how the networks run: device, precision, compilation, CUDA graphs."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from sonic_stream.engines.sonic.fp8 import MIN_CAPABILITY, use_fp8
from sonic_stream.engines.sonic.guidance import Denoiser
from sonic_stream.engines.sonic.unet import Conditions

# fp8 is bfloat16 with the UNet's feed-forward layers in 8 bits.
PRECISIONS = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp8": torch.bfloat16,
}
ACCELERATIONS = ("eager", "compiled", "graphs")
WARM_UP_CALLS = 3


@dataclass(frozen=True)
class Placement:
    """A device, a precision by name and an acceleration; "auto" is resolved by `resolve`."""

    device: str = "auto"
    precision: str = "auto"
    acceleration: str = "auto"

    def resolve(self) -> Placement:
        """Raises `ValueError` for an unknown name or a device that is not there."""
        device = self.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        gpu = device.startswith("cuda")
        if gpu and not torch.cuda.is_available():
            raise ValueError(
                "no CUDA device is available: install a driver and a CUDA build of torch"
            )
        precision = self.precision if self.precision != "auto" else ("bf16" if gpu else "fp32")
        wanted = (
            self.acceleration if self.acceleration != "auto" else ("graphs" if gpu else "eager")
        )
        if precision not in PRECISIONS or wanted not in ACCELERATIONS:
            raise ValueError(
                f"precision is one of {', '.join(PRECISIONS)} and acceleration one of "
                f"{', '.join(ACCELERATIONS)}, not {precision} and {wanted}"
            )
        if wanted == "graphs" and not gpu:
            raise ValueError("CUDA graphs need a CUDA device; choose acceleration 'eager'")
        if gpu and precision == "fp8" and torch.cuda.get_device_capability() < MIN_CAPABILITY:
            raise ValueError("this card has no 8-bit matrix units: choose precision 'bf16'")
        return Placement(device, precision, wanted)

    @property
    def dtype(self) -> torch.dtype:
        return PRECISIONS[self.precision]


def place(module: nn.Module, placement: Placement) -> nn.Module:
    """On its device, in its precision; convolutions in channels-last order on a GPU."""
    # Not the module's own `to`: diffusers wraps it to warn of what is done on purpose here.
    module = nn.Module.to(module, device=placement.device, dtype=placement.dtype).eval()
    if placement.device.startswith("cuda"):
        channels_last(module)
    return module.requires_grad_(False)


def channels_last(module: nn.Module) -> None:
    """The weights of 2-D convolutions; those over time have five axes and stay as they are."""
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def place_unet(unet: nn.Module, placement: Placement) -> nn.Module:
    """`place`, and 8-bit layers where they are asked for."""
    unet = place(unet, placement)
    return use_fp8(unet) if placement.precision == "fp8" else unet


def accelerated(unet: nn.Module, placement: Placement) -> Denoiser:
    if placement.acceleration == "eager":
        return unet
    if placement.acceleration == "graphs":
        return GraphedUNet(unet)
    compiled: Denoiser = torch.compile(unet, dynamic=False)
    return compiled


class GraphedUNet:
    """One CUDA graph for each shape of input: a call costs one launch instead of thousands.

    The weights' addresses are baked in, and outputs are copied out before the next replay.
    """

    def __init__(self, unet: nn.Module) -> None:
        self._unet = unet
        self._graphs: dict[tuple[Any, ...], _Graph] = {}

    def __call__(self, latents: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        masked = tuple(mask.shape for mask in conditions.masks.values())
        key = (latents.shape, timestep.shape, conditions.audio.shape, masked)
        if key not in self._graphs:
            self._graphs[key] = _Graph(self._unet, latents, timestep, conditions)
        return self._graphs[key].replay(latents, timestep, conditions)


class _Graph:
    def __init__(
        self, unet: nn.Module, latents: Tensor, timestep: Tensor, conditions: Conditions
    ) -> None:
        self._latents, self._timestep = latents.clone(), timestep.clone()
        self._conditions = _copied(conditions)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_CALLS):
                unet(self._latents, self._timestep, self._conditions)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._out = unet(self._latents, self._timestep, self._conditions)

    def replay(self, latents: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        self._latents.copy_(latents)
        self._timestep.copy_(timestep)
        for name in ("clip", "audio", "added_ids", "portrait"):
            getattr(self._conditions, name).copy_(getattr(conditions, name))
        for tokens, mask in conditions.masks.items():
            self._conditions.masks[tokens].copy_(mask)
        self._graph.replay()
        return self._out.clone()


def _copied(conditions: Conditions) -> Conditions:
    tensors = {
        f.name: getattr(conditions, f.name).clone() for f in fields(conditions) if f.name != "masks"
    }
    masks = {tokens: mask.clone() for tokens, mask in conditions.masks.items()}
    return replace(conditions, **tensors, masks=masks)
