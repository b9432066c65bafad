"""Faster stand-ins of parts: 8-bit layers, the tiny decoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sonic_stream.engines.sonic.accelerate import Placement, channels_last, place_unet
from sonic_stream.engines.sonic.config import REDUCED
from sonic_stream.engines.sonic.fp8 import Fp8Linear
from sonic_stream.engines.sonic.model import SonicModel
from sonic_stream.engines.sonic.parts import build, fill_by_rule
from sonic_stream.engines.sonic.tiny import build_tiny
from sonic_stream.engines.sonic.unet import Conditions, face_masks
from sonic_stream.engines.sonic.weights import WeightsError, load_tiny_decoder

# Names and shapes of the published decoder.
TINY_KEYS = {
    "1.weight": (64, 4, 3, 3), "1.bias": (64,), "3.conv.0.weight": (64, 64, 3, 3),
    "5.conv.4.bias": (64,), "7.weight": (64, 64, 3, 3), "12.weight": (64, 64, 3, 3),
    "17.weight": (64, 64, 3, 3), "18.conv.2.weight": (64, 64, 3, 3), "19.weight": (3, 64, 3, 3),
    "19.bias": (3,),
}  # fmt: skip


@torch.inference_mode()
def test_a_layer_in_8_bits_is_the_layer_but_for_rounding() -> None:
    generator = torch.Generator().manual_seed(0)
    linear = torch.nn.Linear(64, 96)
    linear.weight.copy_(torch.randn(96, 64, generator=generator) * torch.rand(96, 1))
    x = torch.randn(2, 5, 64, generator=generator) * torch.tensor([1.0, 100.0])[:, None, None]
    wanted, made = linear(x), Fp8Linear(linear)(x)
    assert made.shape == wanted.shape
    for one, other in zip(made, wanted, strict=True):  # a loud row does not drown a quiet one
        assert float((one - other).norm() / other.norm()) < 0.06


@torch.inference_mode()
def test_channels_last_is_for_convolutions_of_pictures() -> None:
    unet = fill_by_rule(build("unet", REDUCED), "unet")
    before = {name: value.clone() for name, value in unet.named_parameters()}
    channels_last(unet)
    axes = set()
    for name, value in unet.named_parameters():
        axes.add(value.dim())
        assert torch.equal(value, before[name])
        if value.dim() == 4:
            assert value.is_contiguous(memory_format=torch.channels_last)
    assert axes >= {4, 5}  # over time, too


@torch.inference_mode()
def test_the_unet_in_8_bits_is_near_the_full_one() -> None:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    masks = face_masks(torch.ones(1, 1, 64, 64), 8, 8, torch.float32)
    conditions = Conditions(
        normal(1, 3, 1, 80), normal(1, 3, 32, 80), torch.full((1, 3), 16.0), masks,
        normal(1, 3, 4, 8, 8),
    )  # fmt: skip
    x, time = normal(1, 3, 4, 8, 8), torch.ones(1, 3)
    unet = fill_by_rule(build("unet", REDUCED), "unet")
    wanted = unet(x, time, conditions)
    placement = Placement("cpu", "fp8", "eager").resolve()
    small = place_unet(unet, placement)
    layers = sum(isinstance(module, Fp8Linear) for module in small.modules())
    assert layers == 2 * 16 * 3  # of each transformer: one spatial and two temporal, two layers
    half = Conditions(
        *(t.bfloat16() for t in (conditions.clip, conditions.audio, conditions.added_ids)),
        {tokens: mask.bfloat16() for tokens, mask in masks.items()},
        conditions.portrait.bfloat16(),
    )
    made = small(x.bfloat16(), time, half).float()
    assert 1e-4 < float((made - wanted).norm() / wanted.norm()) < 0.15


def test_the_tiny_decoder_has_the_published_layout() -> None:
    state = build_tiny().state_dict()
    assert {key: tuple(state[key].shape) for key in TINY_KEYS} == TINY_KEYS
    assert len(state) == 2 + 10 * 6 + 3 + 2


def test_the_tiny_decoders_file_is_read_strictly(tmp_path: Path) -> None:
    state = fill_by_rule(build_tiny(), "tiny").state_dict()
    save_file(state, tmp_path / "taesd_decoder.safetensors")
    with torch.device("meta"):
        empty = build_tiny()
    loaded = load_tiny_decoder(empty, tmp_path).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())
    save_file(
        {k: v for k, v in state.items() if k != "1.bias"}, tmp_path / "taesd_decoder.safetensors"
    )
    with pytest.raises(WeightsError, match=r"taesd_decoder\.safetensors lacks 1\.bias"):
        load_tiny_decoder(build_tiny(), tmp_path)
    (tmp_path / "taesd_decoder.safetensors").unlink()
    with pytest.raises(WeightsError, match="choose decoder 'full'"):
        load_tiny_decoder(build_tiny(), tmp_path)


def test_the_tiny_decoder_makes_pictures_of_the_same_size() -> None:
    full = SonicModel.load("random-reduced", Placement("cpu"), "auto")
    tiny = SonicModel.load("random-reduced", Placement("cpu"), "tiny")
    assert full.tiny is None
    latents = torch.randn(3, 4, 8, 16, generator=torch.Generator().manual_seed(0))
    one, other = full.pictures(latents, 2), tiny.pictures(latents, 2)
    assert one.shape == other.shape == (3, 3, 64, 128)
    assert 0 <= float(other.min()) < float(other.max()) <= 1
    assert torch.equal(other[2:], tiny.pictures(latents[2:], 8))  # each frame by itself
    with pytest.raises(ValueError, match="decoder is one of auto, full, tiny"):
        SonicModel.load("random-reduced", Placement("cpu"), "small")


@torch.inference_mode()
def test_the_unet_is_one_graph_for_the_compiler() -> None:
    """Without a break, and without a change; one mask for all, or one for each portrait."""
    batch = 2
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    masks = {n: m.repeat(batch, 1, 1) for n, m in face_masks(mask, 8, 8, torch.float32).items()}
    conditions = Conditions(
        normal(batch, 3, 1, 80), normal(batch, 3, 32, 80), torch.full((batch, 3), 16.0), masks,
        normal(batch, 3, 4, 8, 8),
    )  # fmt: skip
    x, times = normal(batch, 3, 4, 8, 8), torch.ones(batch, 3)
    unet = fill_by_rule(build("unet", REDUCED), "unet")
    traced = torch.compile(unet, fullgraph=True, dynamic=False, backend="eager")
    wanted = unet(x, times, conditions)
    assert torch.allclose(traced(x, times, conditions), wanted, atol=1e-4)
    apart = unet(x, times, Conditions(
        conditions.clip, conditions.audio, conditions.added_ids,
        face_masks(mask, 8, 8, torch.float32), conditions.portrait,
    ))  # fmt: skip
    assert torch.allclose(apart, wanted, atol=1e-4)
