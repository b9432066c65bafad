"""The Sonic engine: UNet, decoder, whole hops; beside them the roofline. See `benchmarks.engine`.

python -m benchmarks.engine --engine sonic --random-weights --json FILE
python -m benchmarks.engine --engine sonic --random-weights --reduced      (on a CPU)

Random weights cost the same as real ones. The roofline is the matmul rate measured in the same
run against FLOPs counted on the very call.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.report import Figures
from benchmarks.sounds import voice
from sonic_stream.avatars import load_avatar
from sonic_stream.engine import StreamOptions
from sonic_stream.engines.sonic.accelerate import Placement, accelerated
from sonic_stream.engines.sonic.config import AUDIO_TOKENS
from sonic_stream.engines.sonic.engine import SonicEngine
from sonic_stream.engines.sonic.guidance import BRANCHES, Denoiser, Identity, branch_conditions
from sonic_stream.engines.sonic.model import SonicModel
from sonic_stream.engines.sonic.picture import prepared_portrait
from sonic_stream.media import AudioChunk

STEPS, WINDOWS = (1, 2, 4, 8, 25), (8, 12, 25)
SIZES, SMALL_SIZES = (256, 384, 512), (64, 128)
GIB = 2**30


def timed_ms(run: Callable[[], object], device: str, repeats: int = 5) -> float:
    """Median milliseconds of a call, after two to warm up."""
    spent = []
    for turn in range(repeats + 2):
        _settle(device)
        before_s = perf_counter()
        run()
        _settle(device)
        if turn >= 2:
            spent.append(1000 * (perf_counter() - before_s))
    return float(np.median(spent))


def _settle(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def matmul_tflops(placement: Placement) -> float:
    """The rate of a large matrix product in this precision."""
    side = 8192 if placement.device.startswith("cuda") else 1024
    a = torch.randn(side, side, device=placement.device, dtype=placement.dtype)
    spent_ms = timed_ms(lambda: a @ a, placement.device)
    return 2 * side**3 / spent_ms / 1e9


def unet_figures(
    model: SonicModel, identity: Identity, sizes: tuple[int, int], kinds: list[str]
) -> Figures:
    """One guided UNet call at a size and a window, by kind of acceleration."""
    size, window = sizes
    placement = model.placement
    audio = torch.randn(window, *identity.silence.shape).to(identity.silence)
    ids = torch.tensor([[12.5, 16.0, 16.0]]).to(identity.silence)
    conditions = branch_conditions(identity, audio, ids)
    assert audio.shape[1] == AUDIO_TOKENS
    latents = torch.randn(BRANCHES, window, *identity.latents.shape).to(identity.latents)
    times = torch.ones(BRANCHES, window, device=placement.device)
    with FlopCounterMode(display=False) as counter:
        model.unet(latents, times, conditions)
    tflop = counter.get_total_flops() / 1e12
    out: Figures = {f"unet_tflop_{size}_w{window}": tflop}
    for kind in kinds:
        unet: Denoiser = accelerated(model.unet, Placement(placement.device, "auto", kind))  # type: ignore[arg-type]
        spent_ms = timed_ms(lambda run=unet: run(latents, times, conditions), placement.device)  # type: ignore[misc]
        out[f"unet_ms_{size}_w{window}_{kind}"] = spent_ms
        out[f"unet_tflops_{size}_w{window}_{kind}"] = tflop / spent_ms * 1000
    return out


def stream_figures(
    model: SonicModel, size: int, steps: int, options: argparse.Namespace
) -> Figures:
    """A live stream as the server runs it."""
    engine = SonicEngine(size_px=size, weights="random", steps=steps, refresh=options.refresh)
    engine._model = model
    stream = engine.open(engine.prepare(load_avatar(options.avatar)), StreamOptions())
    hop = engine.spec.hop_frames * engine.spec.samples_per_frame
    hops = 2 + max(3, round(options.seconds * engine.spec.sample_rate_hz / hop / 4))
    samples = voice(hops * hop / 16000 + 1, 16000).astype(np.float32)
    stages: dict[str, list[float]] = {}
    spent, at, first_ms = [], 0, 0.0
    for number in range(hops):
        take = engine.spec.latency_samples if number == 0 else hop
        before_s = perf_counter()
        stream.push(AudioChunk(samples[at : at + take], 16000, at))
        spent.append(perf_counter() - before_s)
        at += take
        if number == 0:
            first_ms = 1000 * spent[0]
        elif number > 1:
            for stage, milliseconds in engine.stage_ms.items():
                stages.setdefault(stage, []).append(milliseconds)
    hop_s = engine.spec.hop_frames / float(engine.spec.fps)
    name = f"{size}_s{steps}"
    out: Figures = {
        f"{stage}_ms_{name}": float(np.median(values)) for stage, values in stages.items()
    }
    rtf = float(np.median(spent[2:])) / hop_s
    out |= {
        f"rtf_{name}": rtf,
        f"fps_{name}": 25 / rtf,
        f"first_chunk_ms_{name}": first_ms,
        f"latency_ms_{name}": engine.spec.latency_ms,
    }
    return out


@torch.inference_mode()
def measure(options: argparse.Namespace) -> Figures:
    """All figures; those that this machine cannot give are left out, never made up."""
    placement = Placement(precision=options.precision).resolve()
    gpu = placement.device.startswith("cuda")
    weights = "random-reduced" if options.reduced else ("random" if options.random_weights else "")
    eager = Placement(placement.device, placement.precision, "eager")
    model = SonicModel.load(weights or options.weights, eager)
    rate = matmul_tflops(placement)
    device = torch.cuda.get_device_name() if gpu else "CPU, one thread"
    out: Figures = {"device": device, "precision": placement.precision, "matmul_tflops": rate}
    kinds = ["eager", "compiled", "graphs"] if gpu else ["eager"]
    sizes = SMALL_SIZES if options.reduced else SIZES
    for size in sizes:
        identity = model.identity(prepared_portrait(load_avatar(options.avatar), size))
        for window in WINDOWS:
            out |= unet_figures(model, identity, (size, window), kinds)
        latents = identity.latents.expand(8, -1, -1, -1) * 0.18
        decode_ms = timed_ms(lambda z=latents: model.pictures(z, 8), placement.device) / 8  # type: ignore[misc]
        pictures = model.pictures(latents, 8)
        double_ms = timed_ms(lambda p=pictures: model.doubled(p), placement.device) / 7  # type: ignore[misc]
        out |= {f"decode_ms_{size}": decode_ms, f"rife_ms_{size}": double_ms}
        for kind in kinds:
            used = out[f"unet_tflops_{size}_w{WINDOWS[-1]}_{kind}"]
            out[f"unet_roofline_share_{size}_{kind}"] = float(used or 0) / rate
        if gpu:
            torch.cuda.reset_peak_memory_stats()
        for steps in STEPS:
            out |= stream_figures(model, size, steps, options)
        if gpu:
            out[f"vram_gib_{size}"] = torch.cuda.max_memory_allocated() / GIB
    out["peak_rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return out
