"""PURE. The data that travels, and exact sample <-> frame arithmetic.

Media time is a count (samples, frames), never a measured time. All types are frozen;
arrays inside them are to be treated as read-only.
"""

from __future__ import annotations

import hashlib
from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Mono audio. `samples` float32 [n] in -1..1; `pts` counts samples since the stream's start."""

    samples: FloatArray
    sample_rate_hz: int
    pts: int
    generation: int = 0

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(
                f"audio samples must be float32 [n], not {self.samples.dtype} {self.samples.shape}"
            )
        if self.sample_rate_hz <= 0 or self.pts < 0:
            raise ValueError(f"invalid rate {self.sample_rate_hz} Hz or pts {self.pts}")

    @property
    def end_pts(self) -> int:
        return self.pts + len(self.samples)


@dataclass(frozen=True, slots=True)
class FrameChunk:
    """Pictures. `frames` uint8 [T, H, W, 3 or 4] (RGB, or RGBA with straight alpha);
    `pts` counts frames since media time 0; `backdrop` [H, W, 3]: what belongs behind RGBA."""

    frames: ByteArray
    fps: Fraction
    pts: int
    generation: int = 0
    backdrop: ByteArray | None = None

    def __post_init__(self) -> None:
        shape = self.frames.shape
        if self.frames.dtype != np.uint8 or len(shape) != 4 or shape[3] not in (3, 4):
            raise ValueError(f"frames must be uint8 [T, H, W, 3 or 4], not {shape}")

    @property
    def end_pts(self) -> int:
        return self.pts + len(self.frames)


@dataclass(frozen=True, slots=True)
class MediaPacket:
    """One encoded picture or sound packet; `pts` in `time_base` units since media time 0."""

    codec: str
    data: bytes
    pts: int
    time_base: Fraction
    keyframe: bool
    generation: int = 0


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What an engine declares; every latency in the system is derived from it.

    Frame f shows the audio samples [f * spf, (f + 1) * spf). Frames come in hops of
    `hop_frames`; a hop is emitted as soon as the audio up to the end of its last frame
    plus `look_ahead_samples` was pushed, never earlier, never later.
    """

    engine: str
    sample_rate_hz: int
    fps: Fraction
    size_px: int
    hop_frames: int
    context_frames: int
    look_ahead_samples: int

    def __post_init__(self) -> None:
        if self.hop_frames < 1 or self.context_frames < 0 or self.look_ahead_samples < 0:
            raise ValueError("hop must be >= 1, context and look-ahead >= 0")
        if (Fraction(self.sample_rate_hz) / self.fps).denominator != 1:
            raise ValueError(f"{self.sample_rate_hz} Hz is no whole multiple of {self.fps} fps")

    @property
    def samples_per_frame(self) -> int:
        return int(Fraction(self.sample_rate_hz) / self.fps)

    @property
    def latency_samples(self) -> int:
        """From the first sample of a hop to the moment its frames can be made."""
        return self.hop_frames * self.samples_per_frame + self.look_ahead_samples

    @property
    def latency_ms(self) -> float:
        return 1000.0 * self.latency_samples / self.sample_rate_hz

    def frames_ready(self, samples: int) -> int:
        """How many frames from the stream's origin are due once `samples` were pushed."""
        hop = self.hop_frames * self.samples_per_frame
        return max(samples - self.look_ahead_samples, 0) // hop * self.hop_frames


@dataclass(frozen=True, slots=True)
class IdentityLatents:
    """One prepared portrait: what an engine computes once and every stream of it shares.

    `fingerprint` is a hex digest of the portrait's content and of the preparation settings.
    `meta` holds small strings (JSON where structured). Saved as one safetensors file.
    """

    engine: str
    size_px: int
    fingerprint: str
    tensors: Mapping[str, npt.NDArray[np.generic]]
    meta: Mapping[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write atomically: a reader sees the whole file or none."""
        from safetensors.numpy import save_file

        header = {
            **{f"x_{k}": v for k, v in self.meta.items()},
            "engine": self.engine,
            "size_px": str(self.size_px),
            "fingerprint": self.fingerprint,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        save_file({k: np.ascontiguousarray(v) for k, v in self.tensors.items()}, part, header)
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> IdentityLatents:
        """Tensors are read from the file whenever they are asked for: who has made something of
        them need not keep them. Raises `ValueError` when it is damaged or not an identity."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                header, names = file.metadata() or {}, tuple(file.keys())
            return cls(
                engine=header["engine"],
                size_px=int(header["size_px"]),
                fingerprint=header["fingerprint"],
                tensors=_Stored(path, names),
                meta={k[2:]: v for k, v in header.items() if k.startswith("x_")},
            )
        except (SafetensorError, KeyError, ValueError) as error:
            raise ValueError(f"{path} is not a prepared identity: {error}") from error


class _Stored(Mapping[str, npt.NDArray[np.generic]]):
    """The tensors of a file, read anew each time."""

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self._path = path
        self._names = names

    def __getitem__(self, name: str) -> npt.NDArray[np.generic]:
        if name not in self._names:
            raise KeyError(name)
        return self._read((name,))[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def items(self) -> ItemsView[str, npt.NDArray[np.generic]]:
        return self._read(self._names).items()

    def _read(self, names: tuple[str, ...]) -> dict[str, npt.NDArray[np.generic]]:
        from safetensors import safe_open

        with safe_open(self._path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in names}


def fingerprint(*parts: bytes | str | int | float) -> str:
    """A short hex digest of an ordered list of parts; separators make it unambiguous."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:32]
