"""The Sonic engine: UNet, decoders, whole hops; beside them the roofline. See `benchmarks.engine`.

python -m benchmarks.engine --engine sonic --random-weights --json FILE
python -m benchmarks.engine --engine sonic --random-weights --reduced      (on a CPU)

Random weights cost the same as real ones. The roofline is the matmul rate measured in the same
run against FLOPs counted on the very call. Names end in size, steps, window and kind of
acceleration; `--sizes`, `--steps`, `--windows` and `--kinds` choose some of them.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.report import Figures
from benchmarks.sounds import voice
from sonic_stream.avatars import load_avatar
from sonic_stream.engine import Push, StreamOptions
from sonic_stream.engines.sonic.accelerate import Placement, accelerated
from sonic_stream.engines.sonic.config import VAE_SCALE
from sonic_stream.engines.sonic.engine import SonicEngine
from sonic_stream.engines.sonic.guidance import BRANCHES, Denoiser, Identity, branch_conditions
from sonic_stream.engines.sonic.model import SonicModel
from sonic_stream.engines.sonic.offline import ClipDenoiser, ClipSettings, Voice
from sonic_stream.engines.sonic.picture import prepared_portrait
from sonic_stream.media import AudioChunk

STEPS, WINDOWS, SIZES, SMALL_SIZES = "1,2,4,8,25", "8,12,25", "256,384,512", "64,128"
USUAL_STEPS = 4
GROUPS = (1, 2, 4)  # streams side by side
CLIP_FRAMES, CLIP_WINDOW = 50, 25
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
    latents = torch.randn(BRANCHES, window, *identity.latents.shape).to(identity.latents)
    times = torch.ones(BRANCHES, window, device=placement.device)
    with FlopCounterMode(display=False) as counter:
        model.unet(latents, times, conditions)
    tflop = counter.get_total_flops() / 1e12
    out: Figures = {f"unet_tflop_{size}_w{window}": tflop}
    for kind in kinds:
        unet = accelerated(model.unet, replace(placement, acceleration=kind))
        spent_ms = timed_ms(lambda run=unet: run(latents, times, conditions), placement.device)  # type: ignore[misc]
        out[f"unet_ms_{size}_w{window}_{kind}"] = spent_ms
        out[f"unet_tflops_{size}_w{window}_{kind}"] = tflop / spent_ms * 1000
    return out


@dataclass(frozen=True)
class Live:
    """One live configuration; the window is shared among context, hop and one frame of overlap."""

    size_px: int
    steps: int
    window: int
    kind: str
    streams: int = 1
    doubled: bool = True

    @property
    def name(self) -> str:
        rate = "" if self.doubled else "_25latents"
        group = "" if self.streams == 1 else f"_x{self.streams}"
        return f"{self.size_px}_s{self.steps}_w{self.window}_{self.kind}{rate}{group}"

    def engine(self, model: SonicModel, refresh: int) -> SonicEngine:
        hop = self.window // 2
        engine = SonicEngine(
            size_px=self.size_px, weights="random", streams=self.streams, steps=self.steps,
            hop=hop, context=self.window - 1 - hop, overlap=1, refresh=refresh,
            doubled=self.doubled,
        )  # fmt: skip
        engine._model = model
        return engine


def live_figures(model: SonicModel, live: Live, options: argparse.Namespace) -> Figures:
    """Streams as the server runs them, all due at once: warmed up, then from their start."""
    gpu = model.placement.device.startswith("cuda")
    placement = replace(model.placement, acceleration=live.kind)
    fast = replace(model, unet=accelerated(model.unet, placement), placement=placement)
    engine = live.engine(fast, options.refresh)
    engine.warm_up()
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    identity = engine.prepare(load_avatar(options.avatar))
    streams = [engine.open(identity, StreamOptions(seed=n)) for n in range(live.streams)]
    spec = engine.spec
    hop = spec.hop_frames * spec.samples_per_frame
    samples = voice((spec.latency_samples + options.hops * hop) / 16000, 16000).astype(np.float32)
    spent, stages, at = [], [], 0
    for number in range(options.hops + 1):
        take = spec.latency_samples if number == 0 else hop
        chunk = AudioChunk(samples[at : at + take], 16000, at)
        before_s = perf_counter()
        engine.push_together([Push(stream, chunk) for stream in streams])
        spent.append(perf_counter() - before_s)
        stages.append(engine.stage_ms)
        at += take
    rtf = float(np.median(spent[1:])) * float(spec.fps) / spec.hop_frames
    out: Figures = {
        f"{stage}_ms_{live.name}": float(np.median([s[stage] for s in stages[1:]]))
        for stage in stages[0]
    }
    out |= {
        f"rtf_{live.name}": rtf,
        f"fps_{live.name}": float(spec.fps) / rtf,
        f"first_chunk_ms_{live.name}": 1000 * spent[0],
        f"latency_ms_{live.name}": spec.latency_ms,
    }
    if gpu:
        out[f"vram_gib_{live.name}"] = torch.cuda.max_memory_allocated() / GIB
    return out


def offline_figures(model: SonicModel, identity: Identity, kinds: list[str]) -> Figures:
    """One noise level of a clip, against the same run eagerly in half precision."""
    placement = model.placement
    voiced = torch.randn(CLIP_FRAMES, *identity.silence.shape).to(identity.silence)
    told = Voice(voiced, torch.full((CLIP_FRAMES, 2), 16.0).to(voiced))
    noise = torch.randn(CLIP_FRAMES, *identity.latents.shape).to(identity.latents)
    size = 8 * identity.latents.shape[-1]

    def level_ms(unet: Denoiser) -> float:
        clip = ClipDenoiser(unet, identity, told, ClipSettings(window=CLIP_WINDOW))
        return timed_ms(lambda: clip.step(0, clip.start(noise)), placement.device, 3)

    out: Figures = {
        f"offline_level_ms_{size}_{kind}": level_ms(
            accelerated(model.unet, replace(placement, acceleration=kind))
        )
        for kind in kinds
    }
    times = [float(value) for value in out.values() if isinstance(value, float)]
    out[f"offline_speed_up_{size}"] = times[kinds.index("eager")] / min(times)
    return out


@torch.inference_mode()
def measure(options: argparse.Namespace) -> Figures:
    """All figures; those that this machine cannot give are left out, never made up."""
    placement = Placement(precision=options.precision, acceleration="eager").resolve()
    gpu = placement.device.startswith("cuda")
    weights = "random-reduced" if options.reduced else ("random" if options.random_weights else "")
    model = SonicModel.load(weights or options.weights, placement, options.decoder)
    rate = matmul_tflops(placement)
    device = torch.cuda.get_device_name() if gpu else "CPU, one thread"
    out: Figures = {"device": device, "precision": placement.precision, "matmul_tflops": rate}
    kinds = listed(options.kinds or ("eager,compiled,graphs" if gpu else "eager"))
    windows = [int(window) for window in listed(options.windows or WINDOWS)]
    sizes = options.sizes or (SMALL_SIZES if options.reduced else SIZES)
    for size in map(int, listed(sizes)):
        identity = model.identity(prepared_portrait(load_avatar(options.avatar), size))
        for window in windows:
            out |= unet_figures(model, identity, (size, window), kinds)
        out |= decoder_figures(model, identity)
        for kind in kinds:
            used = out[f"unet_tflops_{size}_w{windows[-1]}_{kind}"]
            out[f"unet_roofline_share_{size}_{kind}"] = float(used or 0) / rate
        for kind in kinds:
            for plan in plans(size, windows, kind, options):
                out |= live_figures(model, plan, options)
        if "eager" in kinds:
            out |= offline_figures(model, identity, kinds)
    out["peak_rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return out


def plans(size: int, windows: list[int], kind: str, options: argparse.Namespace) -> list[Live]:
    """Every number of steps and window; several streams, and no doubling, at the usual ones."""
    steps = [int(count) for count in listed(options.steps or STEPS)]
    usual = Live(size, USUAL_STEPS if USUAL_STEPS in steps else steps[0], windows[0], kind)
    return [
        *(Live(size, count, window, kind) for count in steps for window in windows),
        replace(usual, doubled=False),
        *(replace(usual, streams=streams) for streams in GROUPS[1:]),
    ]


def decoder_figures(model: SonicModel, identity: Identity) -> Figures:
    device, size = model.placement.device, 8 * identity.latents.shape[-1]
    latents = identity.latents.expand(8, -1, -1, -1) * VAE_SCALE
    pictures = model.pictures(latents, 8)
    return {
        f"decode_ms_{size}": timed_ms(lambda: model.pictures(latents, 8), device) / 8,
        f"rife_ms_{size}": timed_ms(lambda: model.doubled(pictures), device) / 7,
    }


def listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",")]
