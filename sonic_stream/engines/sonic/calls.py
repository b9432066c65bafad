"""What a hop asks of the UNet, and how the hops of several streams share one call.

A hop is a generator: it yields a `Call`, is sent the predicted v, and returns its result. Streams
of the same settings make the same calls in the same order, so they can run abreast.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from sonic_stream.engines.sonic.guidance import (
    BRANCHES,
    Denoiser,
    Guidance,
    combine,
    joined,
    one_branch,
)
from sonic_stream.engines.sonic.unet import Conditions

HEARD = 2  # the branch that sees and hears
T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """Scaled latents [B, W, 4, h, w], timesteps [B, W]."""

    latents: Tensor
    times: Tensor
    conditions: Conditions


Calls = Generator[Call, Tensor, T]


@torch.inference_mode()
def abreast(unet: Denoiser, hops: Sequence[Calls[T]]) -> list[T]:
    """Runs hops side by side, each of their calls in one batch. They must ask for equally many."""
    made: list[T] = []
    calls = [next(hop) for hop in hops]
    while not made:
        answers = _evaluated(unet, calls)
        calls = []
        for hop, v in zip(hops, answers, strict=True):
            try:
                calls.append(hop.send(v))
            except StopIteration as end:
                made.append(end.value)
    assert not calls
    return made


def _evaluated(unet: Denoiser, calls: Sequence[Call]) -> Sequence[Tensor]:
    if len(calls) == 1:
        return [unet(calls[0].latents, calls[0].times, calls[0].conditions)]
    v = unet(
        torch.cat([call.latents for call in calls]),
        torch.cat([call.times for call in calls]),
        joined([call.conditions for call in calls]),
    )
    return v.split([len(call.latents) for call in calls])


class Predictor:
    """v of one hop's window at each noise level, guided.

    The difference that guidance makes changes little between levels: it is computed anew at
    every `refresh`-th and reused between; 0 means no guidance at all.
    """

    def __init__(
        self, conditions: Conditions, guidance: Guidance, refresh: int, *, together: bool
    ) -> None:
        self._conditions, self._guidance = conditions, guidance
        self._refresh, self._together = refresh, together
        self._difference: Tensor | None = None

    def predict(self, level: int, scaled: Tensor, time: float | Tensor) -> Calls[Tensor]:
        """Scaled latents [W, 4, h, w], timestep of all or of each frame -> v [W, 4, h, w]."""
        times = torch.as_tensor(time, device=scaled.device).expand(len(scaled))
        if self._refresh == 0:
            return (yield from self._one(scaled, times))
        if self._difference is None or level % self._refresh == 0:
            branches = yield from self._all(scaled, times)
            v = combine(branches, self._guidance)
            self._difference = v - branches[HEARD]
            return v
        return (yield from self._one(scaled, times)) + self._difference

    def _all(self, scaled: Tensor, times: Tensor) -> Calls[Tensor]:
        if self._together:
            batch = scaled.expand(BRANCHES, *scaled.shape)
            return (yield Call(batch, times.expand(BRANCHES, -1), self._conditions))
        made = []
        for branch in range(BRANCHES):
            made.append((yield from self._one(scaled, times, branch)))
        return torch.stack(made)

    def _one(self, scaled: Tensor, times: Tensor, branch: int = HEARD) -> Calls[Tensor]:
        v = yield Call(scaled[None], times[None], one_branch(self._conditions, branch))
        return v[0]
