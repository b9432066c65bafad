"""Offline use: a recording and a portrait in, a video out, with any engine.

video = generate(Path("speech.wav"), Path("face.png"), GenerateOptions(), load_model("lite"))
video.export(Path("out.mp4"))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import Engine, Expression, Portrait, Stream, StreamOptions, load_engine
from sonic_stream.media import AudioChunk, ByteArray, FloatArray
from sonic_stream.portrait import load_portrait
from sonic_stream.portrait.decode import decode
from sonic_stream.recording import Video, read_sound

FPS = 25
RATE_HZ = 16_000
DURATION_TOLERANCE_S = 0.04
PORTRAIT_PX = 1024

Progress = Callable[[int, int], None]  # units of work done, of how many


@dataclass(frozen=True)
class GenerateOptions:
    """`duration`: in seconds, checked against the recording's; None takes the recording's.

    `min_resolution`: pixels of the short side. `inference_steps` matters to `sonic` only.
    Raises `ValueError` for what lies outside its range.
    """

    duration: float | None = None
    min_resolution: int = 512
    expand_ratio: float = 0.18
    inference_steps: int = 25
    dynamic_scale: float = 1.0
    motion_scale: float = 1.0
    seed: int | None = None
    expression: Expression = "neutral"  # `sonic` has none

    def __post_init__(self) -> None:
        for name, low, high in (
            ("min_resolution", 256, 1024),
            ("expand_ratio", 0.0, 1.0),
            ("inference_steps", 1, 50),
            ("dynamic_scale", 0.5, 2.0),
            ("motion_scale", 0.0, 2.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must lie in {low}..{high}, not {value}")


class ClipModel(Protocol):
    """What `generate` needs of an engine."""

    def portrait(self, image: Path | str, options: GenerateOptions) -> Any:
        """What `frames` takes. Raises `ValueError` with reasons and advice."""
        ...

    def frames(
        self, portrait: Any, samples: FloatArray, options: GenerateOptions, progress: Progress
    ) -> Iterator[ByteArray]:
        """Pictures [H, W, 3] at 25 fps, as many as the sound (16 kHz) is long."""
        ...


def load_model(name: str = "lite", **settings: Any) -> ClipModel:
    """`lite`, or `sonic` with `weights`, `device`, `precision`, `acceleration`.

    Raises `ValueError` that says what is missing.
    """
    return QualityModel(**settings) if name == "sonic" else StreamedModel(name, **settings)


class QualityModel:
    """Sonic as its authors run it. torch is imported here alone: other engines need none."""

    def __init__(self, weights: str = "", **placement: str) -> None:
        from sonic_stream.engines.sonic.accelerate import Placement
        from sonic_stream.engines.sonic.model import SonicModel

        self._model = SonicModel.load(weights, Placement(**placement))
        self._weights = Path(weights)

    def portrait(self, image: Path | str, options: GenerateOptions) -> Any:
        """By the authors' own detector where its file lies beside the weights, and the picture is
        no packaged avatar; else by the project's."""
        from sonic_stream.engines.sonic.clip import has_detector, prepared_by_detector
        from sonic_stream.engines.sonic.picture import prepared_portrait

        ratio, resolution = options.expand_ratio, options.min_resolution
        if isinstance(image, Path) and has_detector(self._weights):
            rgb = decode(image.read_bytes())[..., :3]
            return prepared_by_detector(rgb, self._weights, ratio, resolution)
        return prepared_portrait(portrait_of(image, ratio), resolution)

    def frames(
        self, portrait: Any, samples: FloatArray, options: GenerateOptions, progress: Progress
    ) -> Iterator[ByteArray]:
        from sonic_stream.engines.sonic.clip import UPSTREAM_SEED, clip_frames
        from sonic_stream.engines.sonic.offline import ClipSettings

        settings = ClipSettings(
            steps=options.inference_steps,
            dynamic_scale=options.dynamic_scale,
            motion_scale=options.motion_scale,
        )
        seed = UPSTREAM_SEED if options.seed is None else options.seed
        yield from clip_frames(self._model, portrait, samples, settings, seed, progress)


@dataclass(frozen=True)
class StreamedModel:
    """A live engine, run as fast as it goes."""

    engine: str

    def portrait(self, image: Path | str, options: GenerateOptions) -> Portrait:
        return portrait_of(image, options.expand_ratio)

    def frames(
        self, portrait: Any, samples: FloatArray, options: GenerateOptions, progress: Progress
    ) -> Iterator[ByteArray]:
        engine = load_engine(self.engine, size_px=options.min_resolution // 16 * 16)
        live = StreamOptions(
            options.dynamic_scale,
            options.motion_scale,
            seed=options.seed or 0,
            expression=options.expression,
        )
        stream = engine.open(engine.prepare(portrait), live)
        count = frames_of(samples)
        for made, picture in enumerate(_pushed(engine, stream, samples)):
            if made == count:
                return
            progress(made + 1, count)
            yield picture


def _pushed(engine: Engine, stream: Stream, samples: FloatArray) -> Iterator[ByteArray]:
    step = engine.spec.hop_frames * engine.spec.samples_per_frame
    for start in range(0, len(samples), step):
        chunk = AudioChunk(samples[start : start + step], RATE_HZ, start)
        for made in stream.push(chunk):
            yield from made.frames
    for made in stream.flush():
        yield from made.frames


def frames_of(samples: FloatArray) -> int:
    """Pictures that cover the sound."""
    return math.ceil(len(samples) * FPS / RATE_HZ)


def generate(
    audio: Path,
    image: Path | str,
    options: GenerateOptions,
    model: ClipModel,
    progress: Progress = lambda done, total: None,
) -> Video:
    """`image` is a picture file or a packaged avatar's id. Work is done as frames are taken.

    Raises `ValueError` for a recording or a picture that cannot be used, and for a `duration`
    that is not the recording's.
    """
    samples = read_sound(audio, RATE_HZ)
    length_s = len(samples) / RATE_HZ
    if options.duration is not None and abs(options.duration - length_s) > DURATION_TOLERANCE_S:
        raise ValueError(
            f"duration is {options.duration:g} s but {audio.name} lasts {length_s:.2f} s: "
            "leave it out, or cut the recording"
        )
    frames = model.frames(model.portrait(image, options), samples, options, progress)
    return Video(frames, Fraction(FPS), audio, frames_of(samples))


def portrait_of(image: Path | str, expand_ratio: float) -> Portrait:
    """A file's or a packaged avatar's portrait. Raises `ValueError` with reasons and advice."""
    if isinstance(image, str):
        return load_avatar(image)
    portrait, report = load_portrait(
        image.read_bytes(), size_px=PORTRAIT_PX, expand_ratio=expand_ratio
    )
    if portrait is None:
        reasons = "; ".join(f"{r.message} {r.advice}" for r in report.reasons)
        raise ValueError(f"{image.name} does not make a good avatar: {reasons}")
    return portrait
