"""Several streams of the embedded engine in one process, a picture of each in every turn.

python -m benchmarks.engine --device cuda --streams 1,4,16
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np

from avatar_server.worker.encoders import VideoEncoder, open_encoder
from benchmarks.report import Figures
from benchmarks.sounds import voice
from sonic_stream.avatars import ORDER, load_avatar
from sonic_stream.engine import Engine, Push, StreamOptions, load_engine, push_all
from sonic_stream.media import AudioChunk, FrameChunk

FRAME = 640
UNSETTLED = 5  # first turns: kernels are loaded, memory is taken


def measure_streams(options: argparse.Namespace) -> Figures:
    """Medians of turns. `sessions`: how many one process keeps at 25 pictures a second by these
    figures, drawn only and encoded in VP8 too, on as many threads as there are cores."""
    engine = load_engine("lite", size_px=options.size, device=options.device)
    engine.warm_up()
    figures: Figures = {"card": card_of(options.device)}
    for count in (int(number) for number in options.streams.split(",")):
        turn_ms, encode_ms, stages = turns(engine, count, options.seconds)
        period_ms = 1000 / float(engine.spec.fps)
        figures |= {f"{count}_{stage}_ms": value for stage, value in stages.items()}
        figures |= {
            f"{count}_turn_ms": turn_ms,
            f"{count}_turn_encoded_ms": turn_ms + encode_ms,
            f"{count}_sessions_drawn": int(count * period_ms / turn_ms),
            f"{count}_sessions_encoded": int(count * period_ms / (turn_ms + encode_ms)),
        }
    return figures


def turns(engine: Engine, count: int, seconds: float) -> tuple[float, float, dict[str, float]]:
    """Milliseconds of a turn of all streams, of encoding its pictures, and by stage a picture."""
    identities = [engine.prepare(load_avatar(name)) for name in ORDER]
    streams = [
        engine.open(identities[i % len(identities)], StreamOptions(seed=i + 1))
        for i in range(count)
    ]
    size_px, rate_hz = engine.spec.size_px, engine.spec.sample_rate_hz
    encoders = [open_encoder("vp8", size_px, engine.spec.fps, 1_500_000) for _ in streams]
    sounds = [voice(seconds, rate_hz, seed=i).astype(np.float32) for i in range(count)]
    took: list[tuple[float, float]] = []
    stages: dict[str, list[float]] = {}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        for start in range(0, len(sounds[0]) - FRAME + 1, FRAME):
            pushes = [
                Push(stream, AudioChunk(sound[start : start + FRAME], rate_hz, start))
                for stream, sound in zip(streams, sounds, strict=True)
            ]
            before_s = perf_counter()
            made = push_all(engine, pushes)
            drawn_s = perf_counter()
            list(threads.map(encode, encoders, made))
            if made[0]:
                took.append((1000 * (drawn_s - before_s), 1000 * (perf_counter() - drawn_s)))
                for stage, milliseconds in engine.stage_ms.items():
                    stages.setdefault(stage, []).append(milliseconds)
    turn_ms, encode_ms = np.median(took[UNSETTLED:], 0)
    medians = {name: float(np.median(values[UNSETTLED:])) for name, values in stages.items()}
    return float(turn_ms), float(encode_ms), medians


def encode(encoder: VideoEncoder, made: list[FrameChunk]) -> None:
    for chunk in made:
        encoder.encode(chunk.frames[0], chunk.pts, keyframe=False)


def card_of(device: str) -> str:
    """The card's name, as far as one is used."""
    if device in ("cpu", "torch-cpu"):
        return "none"
    try:
        import torch
    except ImportError:
        return "none"
    if not torch.cuda.is_available():
        return "none"
    return str(torch.cuda.get_device_name(None if device == "auto" else device))
