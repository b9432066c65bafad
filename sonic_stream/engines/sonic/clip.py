"""A whole recording, in quality mode: sound and portrait in, 25 pictures a second out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from sonic_stream.engines.sonic.detector import YoloFace
from sonic_stream.engines.sonic.encoders import DECODE_FRAMES
from sonic_stream.engines.sonic.mel import RATE_HZ
from sonic_stream.engines.sonic.model import SonicModel, to_bytes
from sonic_stream.engines.sonic.offline import ClipDenoiser, ClipSettings, Voice
from sonic_stream.engines.sonic.picture import Prepared, crop_square, prepare
from sonic_stream.engines.sonic.weights import DETECTOR
from sonic_stream.media import ByteArray, FloatArray

UPSTREAM_SEED = 72589


@torch.inference_mode()
def clip_frames(
    model: SonicModel,
    prepared: Prepared,
    samples: FloatArray,
    settings: ClipSettings,
    seed: int = UPSTREAM_SEED,
    on_call: Callable[[int, int], None] | None = None,
) -> Iterator[ByteArray]:
    """Sound float32 [n] at 16 kHz -> pictures uint8 [H, W, 3], as many as the sound is long.

    Latents of the whole clip are kept (33 KB a frame at 512 px); pictures are decoded and
    doubled piece by piece, so that memory does not grow with the clip. `on_call` is told how
    many UNet calls of how many are done. Raises `ValueError` for less than 80 ms of sound.
    """
    count = -(-len(samples) * 25 // RATE_HZ)
    identity = model.identity(prepared)
    voice = _voice(model, samples, identity.clip[0])
    if not len(voice.tokens):
        raise ValueError("the recording is shorter than one frame of 80 ms")
    noise = torch.randn(
        (len(voice.tokens), *identity.latents.shape),
        generator=torch.Generator().manual_seed(seed),
    ).to(identity.latents)
    denoiser = ClipDenoiser(model.unet, identity, voice, settings)
    done = 0

    def called() -> None:
        nonlocal done
        done += 1
        if on_call is not None:
            on_call(done, denoiser.calls)

    latents = denoiser.run(noise, called)
    shown, last = 0, None
    for picture in _pictures(model, latents):
        yield picture
        shown, last = shown + 1, picture
    while last is not None and shown < count:  # doubling N pictures gives 2 N - 1
        yield last
        shown += 1


def _voice(model: SonicModel, samples: FloatArray, clip: torch.Tensor) -> Voice:
    audio, placement = model.audio, model.placement
    states = audio.states(torch.from_numpy(samples))
    buckets = audio.buckets(states, clip.float().cpu())
    tokens = audio.tokens(states)
    return Voice(
        tokens.to(placement.device, placement.dtype), buckets.to(placement.device, placement.dtype)
    )


def _pictures(model: SonicModel, latents: torch.Tensor) -> Iterator[ByteArray]:
    """Decoded in upstream's pieces; between neighbours the picture half-way."""
    before = None
    for part in latents.split(DECODE_FRAMES):
        pictures = model.pictures(part, DECODE_FRAMES)
        if before is None:
            yield to_bytes(pictures[:1])[0]
        else:
            pictures = torch.cat([before, pictures])
        if len(pictures) > 1:
            yield from to_bytes(model.doubled(pictures))
        before = pictures[-1:]


def has_detector(weights: Path) -> bool:
    return (weights / DETECTOR).is_file()


def prepared_by_detector(
    image: ByteArray, weights: Path, ratio: float, resolution: int
) -> Prepared:
    """Upstream's own way, with its detector's file: find, crop, find again.

    Raises `ValueError` when it sees no face, or its file is none.
    """
    try:
        find = YoloFace(weights / DETECTOR)
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"{weights / DETECTOR} is damaged: fetch it again, or remove it"
        ) from error
    box = find(image)
    if box is None:
        raise ValueError("no face was found in the picture")
    x, y, w, h = box
    left, top, right, bottom = crop_square(
        (x, y, x + w, y + h), ratio, image.shape[1], image.shape[0]
    )
    crop = np.ascontiguousarray(image[top:bottom, left:right])
    found = find(crop)
    if found is None:
        raise ValueError("no face was found in the cropped picture: use a larger expand_ratio")
    return prepare(crop, found, resolution)
