"""Comparisons that need no network: sampler, pictures, crops, masks, key lists, weight rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from sonic_stream.engines.sonic import picture
from sonic_stream.engines.sonic.attention import token_mask
from sonic_stream.engines.sonic.config import FULL
from sonic_stream.engines.sonic.detector import choose_face
from sonic_stream.engines.sonic.parts import PREFIXES, Parts, build
from sonic_stream.engines.sonic.rule import rule_tensor
from sonic_stream.engines.sonic.sampler import karras_sigmas, timestep

Arrays = Mapping[str, Any]
Finding = tuple[str, float, float]
PIXEL_LIMIT = 1 / 255 + 1e-6


def scheduler(arrays: Arrays, _: Parts) -> Iterator[Finding]:
    for name, wanted in arrays.items():
        kind, steps = name.split("_")
        sigmas = karras_sigmas(int(steps))
        if kind == "sigmas":
            error = np.abs(sigmas - wanted) / np.maximum(wanted, 1e-9)
            yield name, float(error.max()), 1e-6
        elif kind == "timesteps":
            told = np.array([timestep(float(sigma)) for sigma in sigmas[:-1]])
            yield name, float(np.abs(told - wanted).max()), 1e-6


def pictures(arrays: Arrays, _: Parts) -> Iterator[Finding]:
    for name in [key.removesuffix("_image") for key in arrays if key.endswith("_image")]:
        made = picture.prepare(
            arrays[f"{name}_image"],
            tuple(arrays[f"{name}_bbox_xywh"]),
            int(arrays[f"{name}_image_size"]),
            float(arrays[f"{name}_area"]),
        )
        for what, got in (("ref", made.picture), ("mask", made.mask[0]), ("clip", made.clip)):
            if (wanted := arrays.get(f"{name}_{what}")) is not None:
                every = got.shape[-1] // wanted.shape[-1]  # large ones are stored thinned out
                scale = float(picture.CLIP_STD.min()) if what == "clip" else 1.0
                thin = got[..., ::every, ::every]
                yield f"{name}_{what}", float(np.abs(thin - wanted).max()) * scale, 2 * PIXEL_LIMIT


def crops(arrays: Arrays, _: Parts) -> Iterator[Finding]:
    place = {str(name): i for i, name in enumerate(arrays["columns"])}
    wrong = 0.0
    for case in arrays["cases"]:
        value = {name: float(case[i]) for name, i in place.items()}
        box = (value["x1"], value["y1"], value["x2"], value["y2"])
        made = picture.crop_square(
            box, value["expand_ratio"], int(value["width"]), int(value["height"])
        )
        wanted = [value[name] for name in ("cx1", "cy1", "cx2", "cy2")]
        wrong = max(wrong, float(np.abs(np.array(made) - wanted).max()))
    yield "crop squares", wrong, 0.0


def masks(arrays: Arrays, _: Parts) -> Iterator[Finding]:
    mask = torch.from_numpy(arrays["mask"])[None]
    for name, wanted in arrays.items():
        if name.startswith("d_"):
            made = token_mask(mask, wanted.size).flatten().numpy()
            yield name, float(np.abs(made - wanted).max()), 1e-5


def json_kind(content: Any, *, slow: bool) -> Iterator[Finding]:
    """Key lists, the weight rule, norm epsilons and face choices; nothing for anything else."""
    if isinstance(content, list) and content and "boxes_xywh" in content[0]:
        wrong = sum(choose_face(c["boxes_xywh"]) != c["chosen"] for c in content)
        yield "face choices", float(wrong), 0.0
    elif isinstance(content, dict) and "keys" in content and "file" in content:
        yield from _keys(content)
    elif isinstance(content, dict) and set(content) == {"unet", "vae"}:
        yield from _epsilons(content)
    elif isinstance(content, dict) and all(
        isinstance(value, dict) and "first4" in value for value in content.values()
    ):
        yield from _rule(content, slow=slow)


def _keys(content: Mapping[str, Any]) -> Iterator[Finding]:
    part = _part_of(content["file"])
    if part is None:
        return
    prefix = PREFIXES.get(part, "")
    keys = content["keys"].items()
    wanted = {key.removeprefix(prefix): tuple(shape) for key, shape in keys if prefix in key}
    with torch.device("meta"):
        made = {key: tuple(v.shape) for key, v in build(part, FULL).state_dict().items()}
    yield "keys and shapes", float(len(set(wanted.items()) ^ set(made.items()))), 0.0


def _part_of(file: str) -> str | None:
    names = {
        "Sonic/unet": "unet",
        "audio2token": "audio2token",
        "audio2bucket": "audio2bucket",
        "flownet": "rife",
        "vae": "vae",
        "image_encoder": "image_encoder",
        "whisper": "whisper",
    }
    return next((part for name, part in names.items() if name in file), None)


def _epsilons(content: Mapping[str, Any]) -> Iterator[Finding]:
    for part, groups in content.items():
        with torch.device("meta"):
            made = dict(build(part, FULL).named_modules())
        wrong = 0
        for label, names in groups.items():
            eps = float(label.split("eps=")[1].split()[0])
            kinds = nn.GroupNorm if label.startswith("GroupNorm") else nn.LayerNorm
            wrong += sum(
                not isinstance(made.get(name), kinds) or made[name].eps != eps for name in names
            )
        yield f"{part} norm epsilons", float(wrong), 0.0


def _rule(content: Mapping[str, Any], *, slow: bool) -> Iterator[Finding]:
    worst = worst_sum = 0.0
    for key, value in content.items():
        shape = tuple(value["shape"])
        if int(np.prod(shape)) > 1_000_000 and not slow:
            continue
        made = rule_tensor(key, shape).flatten().double()
        first = torch.tensor(value["first4"], dtype=torch.float64)
        worst = max(worst, float((made[: len(first)] - first).abs().max()))
        worst_sum = max(worst_sum, abs(float(made.sum()) - value["sum"]))
    yield "weight rule, values", worst, 1e-7
    yield "weight rule, sums", worst_sum, 1e-4
