"""PURE. What fits a card: an estimate of memory, and the ladder of economies when it is short."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1 << 30
WEIGHTS_GIB = 3.0 + 0.2 + 1.2 + 0.3  # UNet, VAE, CLIP, audio and RIFE in half precision
# Half-precision activations at 512 px, from the largest tensors alive at once: a transformer's
# gated feed-forward of one frame and branch, and the decoder's last level of one frame.
UNET_FRAME_GIB = 0.08
DECODE_FRAME_GIB = 0.45
RESERVE_GIB = 0.7  # CUDA's own context, cuDNN's work space, fragmentation


@dataclass(frozen=True)
class Economy:
    """A rung of the ladder; each needs less memory and more time than the one before."""

    name: str
    abreast: bool  # several streams in one batch
    together: bool  # guidance's three branches in one batch
    decode_frames: int


LADDER = (
    Economy("full", True, True, 8),
    Economy("one stream at a time", False, True, 8),
    Economy("one frame decoded at a time", False, True, 1),
    Economy("one guidance branch at a time", False, False, 1),
)


@dataclass(frozen=True)
class Load:
    """What a process has to hold: pictures, latent frames in a window, streams; `wide` in full
    precision."""

    size_px: int
    window: int
    streams: int = 1
    wide: bool = False


def needed_gib(load: Load, economy: Economy) -> float:
    """An estimate. Streams that are not abreast need activations in turn."""
    area = (load.size_px / 512) ** 2
    frames = load.window * (3 if economy.together else 1) * (load.streams if economy.abreast else 1)
    denoising = frames * UNET_FRAME_GIB * area
    decoding = economy.decode_frames * DECODE_FRAME_GIB * area
    held = WEIGHTS_GIB + max(denoising, decoding)
    return RESERVE_GIB + (2 * held if load.wide else held)


def choose(free_gib: float, load: Load) -> int:
    """The first rung of `LADDER` that fits. Raises `ValueError` with advice when none does."""
    for rung, economy in enumerate(LADDER):
        if needed_gib(load, economy) <= free_gib:
            return rung
    least = needed_gib(load, LADDER[-1])
    raise ValueError(
        f"the sonic engine needs about {least:.1f} GiB of free GPU memory at {load.size_px} px "
        f"and {free_gib:.1f} GiB are free: choose a smaller size_px or context, free the card, "
        "or use engine.name = 'lite'"
    )
