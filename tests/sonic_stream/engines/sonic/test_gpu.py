"""Precision and acceleration on a CUDA device, against float32 on the CPU."""

from __future__ import annotations

import pytest
import torch

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import Push, StreamOptions, load_engine, push_all
from sonic_stream.engines.sonic.accelerate import Placement, accelerated, place_unet
from sonic_stream.engines.sonic.config import REDUCED
from sonic_stream.engines.sonic.fp8 import MIN_CAPABILITY
from sonic_stream.engines.sonic.parts import build, fill_by_rule
from sonic_stream.engines.sonic.unet import Conditions, face_masks
from sonic_stream.media import AudioChunk
from tests.sonic_stream.contract import pictures, run, sound

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.timeout(600),  # compilation takes minutes
]
# Relative error of the whole output; half precision keeps 8 (bf16) or 11 (fp16) bits.
LIMITS = {"fp32": 2e-3, "fp16": 2e-2, "bf16": 1e-1, "fp8": 2e-1}


def inputs(device: str, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, Conditions]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype)

    masks = face_masks(torch.ones(1, 1, 64, 128), 8, 16, torch.float32)
    conditions = Conditions(
        clip=normal(3, 5, 1, 80),
        audio=normal(3, 5, 32, 80),
        added_ids=torch.tensor([[12.5, 16, 16]] * 3).to(device, dtype),
        masks={tokens: mask.to(device, dtype) for tokens, mask in masks.items()},
        portrait=normal(3, 5, 4, 8, 16),
    )
    return normal(3, 5, 4, 8, 16), torch.ones(3, 5, device=device), conditions


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("acceleration", ["eager", "compiled", "graphs"])
@torch.inference_mode()
def test_the_unet_agrees_with_the_cpus(precision: str, acceleration: str) -> None:
    if precision == "fp8" and torch.cuda.get_device_capability() < MIN_CAPABILITY:
        pytest.skip("this card has no 8-bit matrix units")
    reference = fill_by_rule(build("unet", REDUCED), "unet")
    wanted = reference(*inputs("cpu", torch.float32))
    placement = Placement("cuda", precision, acceleration).resolve()
    unet = accelerated(place_unet(reference, placement), placement)
    for _ in range(2):  # a graph's second call replays
        made = unet(*inputs("cuda", placement.dtype)).float().cpu()
        assert float((made - wanted).norm() / wanted.norm()) < LIMITS[precision]


def test_a_stream_runs_and_repeats_itself() -> None:
    engine = load_engine("sonic", size_px=128, weights="random-reduced", device="cuda", steps=2)
    identity = engine.prepare(load_avatar("mira"))
    stream = engine.open(identity, StreamOptions(seed=5))
    first = pictures(run(stream, sound(engine), [640]))
    stream.reset()
    again = pictures(run(stream, sound(engine), [333]))
    assert abs(first.astype(int) - again).max() <= 2


@pytest.mark.parametrize("acceleration", ["eager", "graphs"])
def test_streams_side_by_side_are_as_alone(acceleration: str) -> None:
    settings = {"steps": 2, "streams": 2, "precision": "fp32", "acceleration": acceleration}
    engine = load_engine("sonic", size_px=128, weights="random-reduced", device="cuda", **settings)
    portraits = [engine.prepare(load_avatar(name)) for name in ("mira", "theo")]
    samples = sound(engine)[: engine.spec.latency_samples]
    alone = [
        pictures(run(engine.open(p, StreamOptions(seed=5)), samples, [640])) for p in portraits
    ]
    chunk = AudioChunk(samples, 16000, 0)
    pushes = [Push(engine.open(p, StreamOptions(seed=5)), chunk) for p in portraits]
    for one, (other,) in zip(alone, push_all(engine, pushes), strict=True):
        assert abs(one.astype(int) - other.frames).max() <= 2
