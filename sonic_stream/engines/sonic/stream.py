"""Live streams of one engine: each with a state of its own, made side by side where they can."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from sonic_stream.engine import Push, StreamOptions
from sonic_stream.engines.sonic.calls import Calls, abreast
from sonic_stream.engines.sonic.guidance import MotionScale
from sonic_stream.engines.sonic.live import Control, LiveDenoiser, LiveState
from sonic_stream.engines.sonic.live_audio import LOOK_AHEAD_SAMPLES, LiveAudio, LiveAudioState
from sonic_stream.engines.sonic.mel import RATE_HZ
from sonic_stream.engines.sonic.model import to_bytes
from sonic_stream.engines.sonic.offline import Voice
from sonic_stream.media import AudioChunk, FloatArray, FrameChunk, IdentityLatents
from sonic_stream.smoothing import faded
from sonic_stream.windows import FrameClock

if TYPE_CHECKING:
    from sonic_stream.engines.sonic.engine import SonicEngine

FPS = Fraction(25)
T = TypeVar("T")


@dataclass
class _State:
    """`live` is None until the first hop, whose voice the denoiser starts with."""

    clock: FrameClock
    audio: LiveAudioState
    pending: FloatArray
    live: LiveState | None = None

    def clone(self) -> _State:
        return _State(copy.deepcopy(self.clock), self.audio.clone(), self.pending, self.live)


class SonicStream:
    """One live rendering; see `sonic_stream.engine.Stream`."""

    def __init__(
        self, engine: SonicEngine, identity: IdentityLatents, options: StreamOptions
    ) -> None:
        self._engine, self._options = engine, options
        self._identity = engine.identity_of(identity)
        settings = engine.settings
        frames = settings.hop + settings.ahead
        self._hearing = LiveAudio(
            engine.model.audio, frames, settings.latent_fps, settings.hears_s, settings.tail_s
        )
        self.reset()

    def push(self, audio: AudioChunk, *, render: bool = True) -> list[FrameChunk]:
        return push_together(self._engine, [Push(self, audio, render)])[0]

    def flush(self) -> list[FrameChunk]:
        tail = self._state.clock.padding()
        return self.push(tail) if tail is not None else []

    def silence_from(self, pts: int) -> None:
        """A hop that was begun, and its look-ahead, keep what they heard."""
        state = self._state
        start = pts - (state.clock.end_pts - len(state.pending))
        state.pending = faded(state.pending, start, RATE_HZ // 200)

    def reset(self) -> None:
        empty = np.zeros(0, np.float32)
        self._state = _State(FrameClock(self._engine.spec), self._hearing.init_state(), empty)

    def clone(self) -> SonicStream:
        twin = copy.copy(self)
        twin._state = self._state.clone()
        return twin

    def configure(self, options: StreamOptions) -> None:
        self._options = options

    def set_identity(self, identity: IdentityLatents) -> None:
        """The new portrait takes over from the next hop, by way of its latents."""
        self._identity = self._engine.identity_of(identity)

    # The steps of a push, for `push_together`.

    def take(self, audio: AudioChunk) -> list[int]:
        """The first picture's pts of each hop that is due now."""
        due = self._state.clock.push(audio)
        self._state.pending = np.concatenate([self._state.pending, audio.samples])
        return list(due[:: self._engine.spec.hop_frames])

    def hear(self) -> Voice:
        """The voice of the next hop; before the first, that of the frames begun ahead too."""
        state, settings = self._state, self._engine.settings
        first = state.live is None
        frames = settings.hop + (settings.ahead if first else 0)
        count = round(frames * RATE_HZ / settings.latent_fps)
        count += LOOK_AHEAD_SAMPLES if first else 0
        new, state.pending = state.pending[:count], state.pending[count:]
        clip = self._identity.clip[0].float().cpu()
        with torch.inference_mode():
            voice = self._hearing.hear(state.audio, torch.from_numpy(new.copy()), frames, clip)
        placed = Voice(self._placed(voice.tokens), self._placed(voice.buckets))
        if first:
            split = settings.ahead
            begun = Voice(placed.tokens[:split], placed.buckets[:split])
            state.live = self._denoiser().init_state(self._identity, begun)
            placed = Voice(placed.tokens[split:], placed.buckets[split:])
        return placed

    def hop(self, voice: Voice) -> Calls[tuple[Tensor, LiveState]]:
        """The last latents shown and the new ones [1 + hop, 4, h, w], and the state after."""
        live, options = self._state.live, self._options
        assert live is not None  # made by the first `hear`
        scale = MotionScale(options.dynamic_scale, options.motion_scale)
        control = Control(scale, options.smoothing)
        made, after = yield from self._denoiser().hop(live, self._identity, voice, control)
        return torch.cat([live.past[-1:], made]), after

    def go_on(self, after: LiveState) -> None:
        self._state.live = after

    def _denoiser(self) -> LiveDenoiser:
        return LiveDenoiser(self._engine.settings, self._options.seed)

    def _placed(self, values: Tensor) -> Tensor:
        placement = self._engine.model.placement
        return values.to(placement.device, placement.dtype)


def group_size(count: int) -> int:
    """How many of so many streams go abreast: a power of two, for each size is captured."""
    return 1 << (count.bit_length() - 1)


def push_together(engine: SonicEngine, pushes: Sequence[Push]) -> list[list[FrameChunk]]:
    """Pushes of different streams of this engine; see `SharedEngine`."""
    streams: list[SonicStream] = [push.stream for push in pushes]  # type: ignore[misc]
    due = [stream.take(push.audio) for stream, push in zip(streams, pushes, strict=True)]
    made: list[list[FrameChunk]] = [[] for _ in pushes]
    for hop in range(max(map(len, due), default=0)):
        turn = [i for i, hops in enumerate(due) if hop < len(hops)]
        engine.timed(late=any(pushes[i].late for i in turn))
        started_s = perf_counter()
        voices = [streams[i].hear() for i in turn]
        heard_s = perf_counter()
        latents = _denoised(engine, [streams[i] for i in turn], voices)
        if latents[0].is_cuda:
            torch.cuda.synchronize()  # else the decoder's figure would hold the denoiser's work
        denoised_s = perf_counter()
        for i, clean in zip(turn, latents, strict=True):
            if pushes[i].render:
                frames = to_bytes(_drawn(engine, clean))
                made[i].append(FrameChunk(frames, FPS, due[i][hop], pushes[i].audio.generation))
        frames_made = len(turn) * engine.spec.hop_frames
        engine.stage_ms = {
            "features": 1000 * (heard_s - started_s) / frames_made,
            "denoise": 1000 * (denoised_s - heard_s) / frames_made,
            "decode": 1000 * (perf_counter() - denoised_s) / frames_made,
        }
    return made


def _denoised(
    engine: SonicEngine, streams: Sequence[SonicStream], voices: Sequence[Voice]
) -> list[Tensor]:
    """The next hop of each, in groups as large as memory has let them be."""
    made: list[Tensor] = []
    jobs = list(zip(streams, voices, strict=True))
    while jobs:
        some = _within_memory(engine, partial(_group, engine, jobs))
        made, jobs = made + some, jobs[len(some) :]
    return made


def _group(engine: SonicEngine, jobs: Sequence[tuple[SonicStream, Voice]]) -> list[Tensor]:
    """As many of the jobs as go abreast now."""
    jobs = jobs[: group_size(len(jobs)) if engine.economy.abreast else 1]
    results = abreast(engine.model.unet, [stream.hop(voice) for stream, voice in jobs])
    for (stream, _), (_, after) in zip(jobs, results, strict=True):
        stream.go_on(after)  # only now: a hop that ran out of memory is tried again
    return [shown for shown, _ in results]


def _drawn(engine: SonicEngine, latents: Tensor) -> Tensor:
    """Latents [1 + hop, 4, h, w] -> the hop's pictures [n, 3, H, W] in 0..1."""
    model = engine.model

    def draw() -> Tensor:
        piece = engine.economy.decode_frames
        if engine.settings.doubled:
            return model.doubled(model.pictures(latents, piece))
        return model.pictures(latents[1:], piece)

    return _within_memory(engine, draw)


def _within_memory(engine: SonicEngine, run: Callable[[], T]) -> T:
    """Again with an economy more, each time that memory runs out. Raises `ValueError`."""
    while True:
        # Left first: an exception keeps alive what its frames held, and that is the memory.
        try:
            return run()
        except torch.OutOfMemoryError:
            pass
        engine.economise()
