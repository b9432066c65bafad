"""Comparisons of UNet, VAE, CLIP, RIFE and the denoising loop with the reference's tensors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from sonic_stream.engines.sonic.config import FULL, LATENT_FPS, VAE_SCALE
from sonic_stream.engines.sonic.encoders import decode, embed_portrait, encode_portrait
from sonic_stream.engines.sonic.guidance import Guidance, Identity
from sonic_stream.engines.sonic.offline import ClipDenoiser, ClipSettings, Voice
from sonic_stream.engines.sonic.parts import Parts, worst
from sonic_stream.engines.sonic.ring import RingPlan
from sonic_stream.engines.sonic.unet import Conditions, face_masks

Arrays = Mapping[str, Any]
Finding = tuple[str, float, float]
UNET_LIMIT, TENSOR_LIMIT, SIGMA_LIMIT = 5e-5, 1e-3, 1e-6
LONG_LOOP_CALLS = 40


def is_full_unet(arrays: Arrays) -> bool:
    return bool(arrays["clip_hidden"].shape[-1] == FULL.unet.cross_dim)


def is_long_loop(arrays: Arrays) -> bool:
    parameters = json.loads(str(arrays["params"]))
    plan = _plan(arrays, parameters)
    return plan.windows_per_step * parameters["num_inference_steps"] > LONG_LOOP_CALLS


def unet(arrays: Arrays, parts: Parts) -> Iterator[Finding]:
    net = parts.get("unet", full=is_full_unet(arrays))
    sample = torch.from_numpy(arrays["sample"])
    batch, frames, _, height, width = sample.shape
    mask = torch.from_numpy(arrays["face_mask"])
    time = torch.as_tensor(arrays["timestep"]).float().reshape(-1).expand(batch)
    for name, masks in (("out", face_masks(mask, height, width, sample.dtype)), ("out_nomask", {})):
        if name in arrays:
            conditions = Conditions(
                clip=torch.from_numpy(arrays["clip_hidden"]).unflatten(0, (batch, frames)),
                audio=torch.from_numpy(arrays["audio_hidden"]).unflatten(0, (batch, frames)),
                added_ids=torch.from_numpy(arrays["added_time_ids"]),
                masks=masks,
                portrait=sample[:, :, 4:],
            )
            yield name, worst(net(sample[:, :, :4], time, conditions), arrays[name]), UNET_LIMIT


def vae(arrays: Arrays, parts: Parts) -> Iterator[Finding]:
    net = parts.get("vae", full=True)
    mean = encode_portrait(net, torch.from_numpy(arrays["image"]))
    yield "mean", worst(mean, arrays["mean"]), TENSOR_LIMIT
    for name in arrays:
        if name.startswith("decoded_num_frames"):
            piece = int(name.removeprefix("decoded_num_frames"))
            made = torch.cat(list(decode(net, torch.from_numpy(arrays["z"]) * VAE_SCALE, piece)))
            yield name, worst(made, arrays[name]), TENSOR_LIMIT


def clip(arrays: Arrays, parts: Parts) -> Iterator[Finding]:
    net = parts.get("image_encoder", full=True)
    made = embed_portrait(net, torch.from_numpy(arrays["pixel_values"]))
    yield "image_embeds", worst(made, arrays["image_embeds"]), TENSOR_LIMIT


def rife(arrays: Arrays, parts: Parts) -> Iterator[Finding]:
    net = parts.get("rife", full=True)
    first, second = torch.from_numpy(arrays["img0"]), torch.from_numpy(arrays["img1"])
    flow, mask = net.flow(first, second)
    yield "flow", worst(flow, arrays["flow"]), TENSOR_LIMIT
    yield "mask", worst(mask, arrays["mask"]), TENSOR_LIMIT
    yield "mid", worst(net(first, second), arrays["mid"]), TENSOR_LIMIT


def loop(arrays: Arrays, parts: Parts) -> Iterator[Finding]:
    """A whole clip through the reduced model; every step's start is compared."""
    parameters = json.loads(str(arrays["params"]))
    yield from _encoders(arrays, parts)
    if "window_index" in arrays:
        wrong = _windows(_plan(arrays, parameters), arrays["window_index"])
        yield "window_index", wrong, 0.0
    denoiser = _denoiser(arrays, parts, parameters)
    latents = denoiser.start(torch.from_numpy(arrays["noise"])[0])
    starts = arrays.get("latents_start", ())
    errors = []
    for step in range(parameters["num_inference_steps"]):
        if step < len(starts):
            errors.append(worst(latents, starts[step]))
        latents = denoiser.step(step, latents)
    if errors:
        yield "latents_start", max(errors), TENSOR_LIMIT
    yield "latents_final", worst(latents, arrays["latents_final"]), TENSOR_LIMIT
    if "decoded" in arrays:
        decoder = parts.get("vae", full=False)
        pictures = torch.cat(list(decode(decoder, latents, parameters["decode_chunk_size"])))
        index = torch.from_numpy(arrays.get("decoded_index", np.arange(len(pictures))))
        yield "decoded", worst(pictures[index], arrays["decoded"]), TENSOR_LIMIT


def _plan(arrays: Arrays, parameters: dict[str, Any]) -> RingPlan:
    return RingPlan(
        len(arrays["audio_tokens"]),
        parameters["frames_per_batch"],
        parameters["overlap"],
        parameters["shift_offset"],
    )


def _encoders(arrays: Arrays, parts: Parts) -> Iterator[Finding]:
    if "ref_image" in arrays:
        encoder = parts.get("vae", full=False)
        mean = encode_portrait(encoder, torch.from_numpy(arrays["ref_image"]))
        yield "vae_mean", worst(mean, arrays["vae_mean"]), TENSOR_LIMIT
    if "clip_image" in arrays:
        tower = parts.get("image_encoder", full=False)
        made = embed_portrait(tower, torch.from_numpy(arrays["clip_image"]))
        yield "image_embeds", worst(made, arrays["image_embeds"]), TENSOR_LIMIT


def _denoiser(arrays: Arrays, parts: Parts, parameters: dict[str, Any]) -> ClipDenoiser:
    latents = torch.from_numpy(arrays["vae_mean"])[0]
    mask = torch.from_numpy(arrays["face_mask"])[:, :1]
    identity = Identity(
        clip=torch.from_numpy(arrays["image_embeds"]),
        latents=latents,
        masks=face_masks(mask, latents.shape[1], latents.shape[2], latents.dtype),
        silence=torch.from_numpy(arrays["uncond_token"]),
    )
    voice = Voice(
        torch.from_numpy(arrays["audio_tokens"]), torch.from_numpy(arrays["motion_buckets"])
    )
    settings = ClipSettings(
        steps=parameters["num_inference_steps"],
        window=parameters["frames_per_batch"],
        overlap=parameters["overlap"],
        shift=parameters["shift_offset"],
        dynamic_scale=parameters["motion_bucket_scale"],
        guidance=_guidance(parameters),
        fps=parameters.get("fps", LATENT_FPS),
    )
    return ClipDenoiser(parts.get("unet", full=False), identity, voice, settings)


def _guidance(parameters: dict[str, Any]) -> Guidance:
    """Raises `ValueError` for what nobody runs and this implementation does not know."""
    for name, usual in (("i2i_noise_strength", 1.0), ("noise_aug_strength", 0.0)):
        if parameters.get(name, usual) != usual:
            raise ValueError(f"{name} {parameters[name]} is not supported, only {usual}")
    scales = []
    for number, usual in ((1, Guidance().appearance), (2, Guidance().audio)):
        low = parameters.get(f"min_guidance_scale{number}", usual)
        if parameters.get(f"max_guidance_scale{number}", low) != low:
            raise ValueError("guidance that changes along the window is not supported")
        scales.append(low)
    return Guidance(*scales)


def _windows(plan: RingPlan, rows: Any) -> float:
    """0 when the plan's windows are the rows [step, window, indices before the modulo]."""
    return float(
        sum(
            list(plan.at_step(int(row[0])))[int(row[1])] != [int(i) % plan.frames for i in row[2:]]
            for row in rows
        )
    )
