"""API. What an engine is: the protocols every engine satisfies, and how one is loaded.

The contract (checked by `tests/sonic_stream/contract.py` for every engine):
parity      any chunking of the audio gives bit-equal frames
causality   audio after the declared look-ahead never changes a frame
continuity  frame pts start at the first chunk's media time and have no gaps
reset       a reset stream equals a fresh one; a clone continues like its origin
latency     each frame is emitted exactly when `EngineSpec` says
silence     audio that was taken back changes no frame made after that
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np

from sonic_stream.media import (
    AudioChunk,
    ByteArray,
    EngineSpec,
    FloatArray,
    FrameChunk,
    IdentityLatents,
)

# A portrait's eyes: where the face mesh has them; drawn ones, found in the picture; drawn ones of
# which only the upper lid's line and the lower end were found; drawn ones, not found.
EyeKind = Literal["mesh", "drawn", "boxed", "unclear"]


@dataclass(frozen=True, slots=True)
class Portrait:
    """A decoded, cropped, judged portrait, ready for `Engine.prepare`.

    `rgba` uint8 [S, S, 4] (opaque unless the picture had alpha); `landmarks` float32 [478, 3],
    MediaPipe numbering, pixels of `rgba` (z in the same unit, negative towards the camera);
    `blink` False where eyelids must not be drawn; `glasses` True where frames cross the face;
    `eyes`: whose they are, see `EyeKind`;
    `content` fingerprints picture and crop.
    `matte` uint8 [S, S]: the person's coverage; None where it could not be told.
    """

    rgba: ByteArray
    landmarks: FloatArray
    content: str
    blink: bool = True
    matte: ByteArray | None = None
    glasses: bool = False
    eyes: EyeKind = "mesh"

    def __post_init__(self) -> None:
        if self.landmarks.shape != (478, 3) or self.landmarks.dtype != np.float32:
            raise ValueError(f"landmarks must be float32 [478, 3], not {self.landmarks.shape}")
        if self.matte is not None and self.matte.shape != self.rgba.shape[:2]:
            raise ValueError(f"the matte is {self.matte.shape}, the picture {self.rgba.shape}")


# What stands behind the person; an image is the path of a file that `prepare` wrote.
BACKGROUND = re.compile(r"keep|blur|none|#[0-9a-fA-F]{6}|image:.+")


Expression = Literal["neutral", "happy", "serious", "surprised"]
EXPRESSIONS: tuple[Expression, ...] = get_args(Expression)


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Live controls of a stream. Values outside their ranges raise `ValueError`.

    `background`: "keep", "blur", "none" (transparent: frames are RGBA), "#rrggbb" or
    "image:PATH". With `alpha` frames are RGBA with any background, and it comes beside them.
    """

    dynamic_scale: float = 1.0  # lips, 0.5..2
    motion_scale: float = 1.0  # head, gaze, brows, 0..2
    smoothing: float = 0.5  # 0 = crisp, 1 = calm
    seed: int = 0
    expression: Expression = "neutral"  # engines that have none ignore it
    background: str = "keep"
    alpha: bool = False

    def __post_init__(self) -> None:
        if self.expression not in EXPRESSIONS:
            known = ", ".join(EXPRESSIONS)
            raise ValueError(f"no expression {self.expression!r}; there are {known}")
        if not BACKGROUND.fullmatch(self.background):
            raise ValueError(
                f"a background is keep, blur, none, #rrggbb or image:…, not {self.background!r}"
            )
        for name, low, high in (
            ("dynamic_scale", 0.5, 2.0),
            ("motion_scale", 0.0, 2.0),
            ("smoothing", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must lie in {low}..{high}, not {value}")


@runtime_checkable
class Stream(Protocol):
    """One live rendering. State is private to the stream; identity and weights are shared.

    The first chunk's pts sets the origin (a whole number of frames); later chunks must
    continue without a gap (`ValueError` otherwise).
    """

    def push(self, audio: AudioChunk, *, render: bool = True) -> list[FrameChunk]:
        """Frames that became due, one `FrameChunk` per hop, generation of the newest audio.

        With `render=False` the state advances exactly the same but no pixels are made and
        the list is empty: how an overloaded worker drops pictures without losing its place.
        """
        ...

    def flush(self) -> list[FrameChunk]:
        """Pad with silence so that all audio pushed so far is shown."""
        ...

    def silence_from(self, pts: int) -> None:
        """The audio pushed so far is silence from sample `pts` on (after a fade of 5 ms): nobody
        hears it. Frames that were made stay, and the next ones go on from them."""
        ...

    def reset(self) -> None: ...

    def clone(self) -> Stream: ...

    def configure(self, options: StreamOptions) -> None:
        """Takes effect from the next frame on."""
        ...

    def set_identity(self, identity: IdentityLatents) -> None:
        """Change the portrait from the next frame on, keeping the motion state."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Weights and settings, read-only after construction; cheap to open streams on."""

    @property
    def spec(self) -> EngineSpec: ...

    @property
    def stage_ms(self) -> dict[str, float]:
        """Milliseconds of the latest frame by stage (features, network, render)."""
        ...

    def prepare(self, portrait: Portrait) -> IdentityLatents: ...

    def open(self, identity: IdentityLatents, options: StreamOptions) -> Stream: ...

    def warm_up(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Push:
    """What `Stream.push` is told, for one of several streams. `late`: the sound has waited too
    long, which an engine may answer with less effort."""

    stream: Stream
    audio: AudioChunk
    render: bool = True
    late: bool = False


@runtime_checkable
class SharedEngine(Engine, Protocol):
    """An engine that makes the pictures of several streams in one batch."""

    @property
    def streams(self) -> int:
        """See `streams_of`."""
        ...

    def push_together(self, pushes: Sequence[Push]) -> list[list[FrameChunk]]:
        """`push` of each of these (different) streams; hops that fall due are made in one
        batch, so the pictures are those of `push` but for the arithmetic's rounding."""
        ...


def streams_of(engine: Engine) -> int:
    """How many streams a process may host, if the engine says so by a property `streams`; 0: as
    many as its worker finds time for."""
    return int(getattr(engine, "streams", 1))


def push_all(engine: Engine, pushes: Sequence[Push]) -> list[list[FrameChunk]]:
    """Advance several streams, together where the engine can."""
    if isinstance(engine, SharedEngine):
        return engine.push_together(pushes)
    return [push.stream.push(push.audio, render=push.render) for push in pushes]


def prefetch(engine: Engine, identity: IdentityLatents, options: StreamOptions) -> object:
    """What a stream of these begins with, if the engine has a method `prefetch` that makes it. As
    long as the result is kept, `open`, `set_identity` and `configure` are quick. In any thread.

    Raises `ValueError` when the engine cannot show it."""
    make = getattr(engine, "prefetch", None)
    return make(identity, options) if make is not None else None


ENGINES = {
    "lite": "sonic_stream.engines.lite.choice:open_engine",
    "sonic": "sonic_stream.engines.sonic.engine:SonicEngine",
    "testcard": "sonic_stream.engines.testcard:TestcardEngine",
}


def load_engine(name: str, *, size_px: int = 512, **settings: Any) -> Engine:
    """An engine by short name or import string `package.module:Class`.

    Raises `ValueError` with the known names when it does not exist or is no engine.
    """
    target = ENGINES.get(name, name)
    module_name, _, class_name = target.partition(":")
    try:
        factory = getattr(import_module(module_name), class_name or "Engine")
    except (ImportError, AttributeError, ValueError) as error:
        if name in ENGINES:
            advice = f"pip install 'avatar-server[{name}]'"
            raise ValueError(f"engine {name!r} lacks a package ({error}): {advice}") from error
        known = ", ".join(sorted(ENGINES))
        raise ValueError(f"no engine {name!r} (known: {known}): {error}") from error
    engine = factory(size_px=size_px, **settings)
    if not isinstance(engine, Engine):
        raise ValueError(f"{target} is not an engine")
    return engine
