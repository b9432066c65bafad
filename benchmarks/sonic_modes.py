"""The diffusion engine's two live modes side by side.

    python -m benchmarks.sonic_modes [--weights DIR | --reduced] [--seconds 20] [--json FILE]

For each plan, on the same voice and portrait: what it costs and declares, how its latents behave.

- `unet_frames`: frames that the UNet evaluates for each one shown, guidance branches counted
- `first_ms`, `hop_ms`: process time of the first and of a later hop, all stages
- `step`: how much a latent frame differs from the one before, relative to its spread
- `seam`: that at the joints of hops over that within hops; 1: no seam (none within a hop of one)
- `flicker`: how much the mean of the latents jumps from frame to frame, relative to their spread
- `drift`: how far the last quarter is from the portrait's channel means, over the first quarter

With weights by rule (without `--weights`) costs and latencies are true and figures of behaviour
compare the modes on one and the same arbitrary network; what looks better only trained ones tell.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from time import process_time

import numpy as np
import torch
from torch import Tensor

from benchmarks.report import Figures, report
from benchmarks.sounds import voice
from sonic_stream.avatars import load_avatar
from sonic_stream.engine import StreamOptions
from sonic_stream.engines.sonic.accelerate import Placement
from sonic_stream.engines.sonic.config import VAE_SCALE
from sonic_stream.engines.sonic.engine import SonicEngine
from sonic_stream.engines.sonic.model import SonicModel
from sonic_stream.engines.sonic.unet import Conditions
from sonic_stream.media import AudioChunk

PLANS: dict[str, dict[str, int | str]] = {
    "chunk, 4 steps, hop 4, overlap 1": {"steps": 4, "hop": 4, "context": 4, "overlap": 1},
    "chunk, 4 steps, hop 4, overlap 0": {"steps": 4, "hop": 4, "context": 4, "overlap": 0},
    "chunk, 2 steps, hop 2, overlap 0": {"steps": 2, "hop": 2, "context": 2, "overlap": 0},
    "staggered, 4 steps, hop 1": {"mode": "staggered", "steps": 4, "hop": 1, "context": 4},
    "staggered, 4 steps, hop 2": {"mode": "staggered", "steps": 4, "hop": 2, "context": 4},
}


class Counting:
    """The network itself; counts the frames that it evaluates."""

    def __init__(self, model: SonicModel) -> None:
        self._unet, self.frames = model.unet, 0

    def __call__(self, latents: Tensor, times: Tensor, conditions: Conditions) -> Tensor:
        self.frames += latents.shape[0] * latents.shape[1]
        return self._unet(latents, times, conditions)


def run(model: SonicModel, plan: dict[str, int | str], options: argparse.Namespace) -> Figures:
    overlap = plan.get("overlap", 0)
    engine = SonicEngine(
        size_px=options.size, weights="random", refresh=2, **{**plan, "overlap": overlap}
    )
    unet = Counting(model)
    engine._model = replace(model, unet=unet)
    stream = engine.open(engine.prepare(load_avatar(options.avatar)), StreamOptions())
    samples = voice(options.seconds, 16000).astype(np.float32)
    hop = engine.spec.hop_frames * engine.spec.samples_per_frame
    latents, spent, at = [], [], 0
    while at < len(samples):
        take = engine.spec.latency_samples if at == 0 else hop
        before = process_time()
        stream.push(AudioChunk(samples[at : at + take], 16000, at), render=not spent)
        spent.append(process_time() - before)
        at += take
        if at <= len(samples):
            live = stream._state.live
            assert live is not None
            latents.append(live.past[-engine.settings.hop :].float())
    shown = torch.cat(latents)
    portrait = stream._identity.latents.float() * VAE_SCALE
    return {
        "latency_ms": engine.spec.latency_ms,
        "unet_frames": unet.frames / len(shown),
        "first_ms": 1000 * spent[0],
        "hop_ms": 1000 * float(np.median(spent[1:-1])),
        **behaviour(shown, portrait, engine.settings.hop),
    }


def behaviour(latents: Tensor, portrait: Tensor, hop: int) -> Figures:
    """Latents [n, 4, h, w] of a stream, the portrait's [4, h, w]."""
    spread = float(latents.std())
    steps = (latents[1:] - latents[:-1]).flatten(1).square().mean(1).sqrt()
    joint = torch.arange(1, len(latents)) % hop == 0
    seam = float(steps[joint].mean() / steps[~joint].mean()) if hop > 1 else None
    means = latents.mean((-2, -1))
    away = (means - portrait.mean((-2, -1))).norm(dim=1)
    quarter = len(away) // 4
    return {
        "step": float(steps.mean()) / spread,
        "seam": seam,
        "flicker": float((means[1:] - means[:-1]).norm(dim=1).mean()) / spread,
        "drift": float(away[-quarter:].mean() / away[:quarter].mean()),
    }


@torch.inference_mode()
def measure(options: argparse.Namespace) -> Figures:
    weights = options.weights or ("random-reduced" if options.reduced else "random")
    model = SonicModel.load(weights, Placement(acceleration="eager"))
    return {
        f"{name}: {figure}": value
        for name, plan in PLANS.items()
        for figure, value in run(model, plan, options).items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", default="")
    parser.add_argument("--reduced", action="store_true", help="a tiny model, for a CPU")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--avatar", default="mira")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    report("Live modes of the sonic engine", measure(options), options.json)


if __name__ == "__main__":
    main()
