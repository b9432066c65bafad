"""The official checkpoint files: strict loading, conversion to safetensors with a manifest.

    Sonic/{unet,audio2token,audio2bucket}.pth          the trained parts
    stable-video-diffusion-img2vid-xt/{vae,image_encoder}/*.fp16.safetensors
    whisper-tiny/model.safetensors                     only its encoder is used
    RIFE/flownet.pkl
    yoloface_v5m.pt                                    optional
    taesd_decoder.safetensors                          optional: a tiny decoder for live use

A converted folder holds `manifest.json` and one `<part>.safetensors` for each part instead.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

SVD = "stable-video-diffusion-img2vid-xt"
MANIFEST, FORMAT = "manifest.json", "sonic-weights-1"
DETECTOR = "yoloface_v5m.pt"
TINY_DECODER = "taesd_decoder.safetensors"
OPTIONAL = (DETECTOR, TINY_DECODER)
BLOCK = 1 << 22
NAMED = 3  # keys shown in an error


class WeightsError(ValueError):
    """Names the file and, where there is one, the key; says what to do."""


@dataclass(frozen=True)
class PartFile:
    """Where a part lies in the official layout, and what its file puts before the keys.

    `only` drops keys without the prefix instead of refusing them: the file holds more.
    """

    path: str
    prefix: str = ""
    only: bool = False


PARTS: Mapping[str, PartFile] = {
    "unet": PartFile("Sonic/unet.pth"),
    "audio2token": PartFile("Sonic/audio2token.pth"),
    "audio2bucket": PartFile("Sonic/audio2bucket.pth"),
    "vae": PartFile(f"{SVD}/vae/diffusion_pytorch_model.fp16.safetensors"),
    "image_encoder": PartFile(f"{SVD}/image_encoder/model.fp16.safetensors"),
    "whisper": PartFile("whisper-tiny/model.safetensors", "model.encoder.", only=True),
    "rife": PartFile("RIFE/flownet.pkl", "module.", only=True),
}


def is_converted(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def path_of(folder: Path, part: str) -> Path:
    return folder / (f"{part}.safetensors" if is_converted(folder) else PARTS[part].path)


def missing(folder: Path) -> list[str]:
    """Which files are not there, one sentence each; empty when the folder is complete."""
    if not folder.is_dir():
        return [f"there is no folder {folder}"]
    paths = [path_of(folder, part) for part in PARTS]
    return [f"{path} is missing" for path in paths if not path.is_file()]


def read_part(folder: Path, part: str) -> dict[str, Tensor]:
    """A part's tensors under the module's own names. Raises `WeightsError`."""
    path = path_of(folder, part)
    state = _read(path)
    file = PARTS[part]
    if is_converted(folder) or not file.prefix:
        return state
    stripped = {
        key.removeprefix(file.prefix): value
        for key, value in state.items()
        if not file.only or key.startswith(file.prefix)
    }
    if not stripped:
        raise WeightsError(f"{path} holds no key that begins with {file.prefix!r}")
    return stripped


def load_part(module: nn.Module, folder: Path, part: str) -> nn.Module:
    """Fills a module (made on the meta device) strictly; raises `WeightsError`."""
    _fill(module, read_part(folder, part), path_of(folder, part))
    for name, buffer in list(module.named_buffers()):
        if buffer.is_meta:  # CLIP's numbering of positions is computed, not stored
            owner = module.get_submodule(name.rpartition(".")[0])
            owner.register_buffer(
                name.rpartition(".")[2],
                torch.arange(buffer.numel()).view(buffer.shape),
                persistent=False,
            )
    return module


def load_tiny_decoder(module: nn.Module, folder: Path) -> nn.Module:
    """As `load_part`, from the optional file."""
    path = folder / TINY_DECODER
    return _fill(module, _read(path), path)


def _fill(module: nn.Module, state: dict[str, Tensor], path: Path) -> nn.Module:
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    check_keys(path, {k: tuple(v.shape) for k, v in state.items()}, wanted)
    module.load_state_dict(state, assign=True)
    return module


def check_keys(
    path: Path, found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]
) -> None:
    """Raises `WeightsError` for a missing or surplus key or a wrong shape."""
    absent, surplus = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if absent or surplus:
        what = [f"lacks {_some(absent)}"] if absent else []
        what += [f"has the unknown {_some(surplus)}"] if surplus else []
        raise WeightsError(f"{path} {' and '.join(what)}: it is not the official file")
    for key, shape in wanted.items():
        if found[key] != shape:
            raise WeightsError(f"{path}: {key} has shape {found[key]}, not {shape}")


def convert(folder: Path, out: Path, say: Callable[[str], object]) -> None:
    """The official layout -> safetensors and a manifest. Raises `WeightsError`."""
    problems = missing(folder)
    if problems:
        raise WeightsError("; ".join(problems))
    needed = sum(path_of(folder, part).stat().st_size for part in PARTS)
    out.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(out).free
    if free < needed:
        raise WeightsError(f"{out} has {free >> 20} MiB free and needs {needed >> 20} MiB")
    entries: dict[str, Any] = {}
    for part in PARTS:
        source = path_of(folder, part)
        state = {key: value.contiguous() for key, value in read_part(folder, part).items()}
        target = out / f"{part}.safetensors"
        partial = target.with_suffix(".partial")
        save_file(state, partial)
        partial.replace(target)
        entries[part] = {
            "file": target.name,
            "sha256": sha256(target),
            "bytes": target.stat().st_size,
            "dtype": sorted({str(v.dtype).removeprefix("torch.") for v in state.values()}),
            "source": source.relative_to(folder).as_posix(),
        }
        say(f"{part}: {len(state)} tensors, {target.stat().st_size >> 20} MiB")
    for name in OPTIONAL:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)
    partial = out / (MANIFEST + ".partial")
    partial.write_text(json.dumps({"format": FORMAT, "parts": entries}, indent=1))
    partial.replace(out / MANIFEST)


def verify(folder: Path) -> None:
    """Compares a converted folder with its manifest. Raises `WeightsError`."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        entries = manifest["parts"] if manifest["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{folder / MANIFEST} cannot be read: convert the weights") from error
    if entries is None or set(entries) != set(PARTS):
        raise WeightsError(f"{folder / MANIFEST} is of another version: convert again")
    for part, entry in entries.items():
        path = folder / f"{part}.safetensors"
        if not path.is_file() or sha256(path) != entry["sha256"]:
            raise WeightsError(f"{path} is missing or damaged: convert the official files again")


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        if path.name == TINY_DECODER:
            raise WeightsError(f"{path} is missing: put it there, or choose decoder 'full'")
        raise WeightsError(f"{path} is missing: run 'avatar-server weights fetch {path.parent}'")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except (
        SafetensorError, RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError
    ) as error:  # fmt: skip
        raise WeightsError(
            f"{path} is damaged or no checkpoint ({type(error).__name__}): fetch it again"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{path} holds no plain state dict")
    return state


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    return ", ".join(keys[:NAMED]) + more
