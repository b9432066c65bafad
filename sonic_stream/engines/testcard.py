"""The instrument of every timing test: pictures that tell their own number.

The upper eighth of the picture is a row of 32 blocks, white for 1 and black for 0: 24 bits of
the frame's pts, most significant first, then 8 bits of checksum (the three bytes of pts summed,
modulo 256, inverted). Any reader that averages the middle of each block and compares it with
128 can decode it, also after compression and scaling. A flash fills the middle of the picture
in the very frame in which a sound begins. For eyes there is a number below, the milliseconds since
the nearest beep (negative: until the next, once the rhythm is known), with a pointer on a scale of
half a second to either side: who hears the beep at +120 sees the picture 120 ms early.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from fractions import Fraction
from time import perf_counter

import cv2
import numpy as np

from sonic_stream.engine import Portrait, StreamOptions
from sonic_stream.media import (
    AudioChunk,
    ByteArray,
    EngineSpec,
    FloatArray,
    FrameChunk,
    IdentityLatents,
    fingerprint,
)
from sonic_stream.smoothing import faded
from sonic_stream.windows import FrameClock

FPS = Fraction(25)
BITS = 32
ONSET_LEVEL = 0.02  # RMS of 5 ms that counts as sound
QUIET_S = 0.2  # silence needed before the next onset
FLASH_FRAMES = 2
SCALE_MS = 500


def pattern(pts: int) -> list[int]:
    """The 32 bits shown for a pts."""
    value = pts & 0xFFFFFF
    check = ~sum(value.to_bytes(3, "big")) & 0xFF
    return [(value << 8 | check) >> shift & 1 for shift in range(BITS - 1, -1, -1)]


def read_pts(picture: ByteArray) -> int | None:
    """The pts in a picture [H, W, 3] of any size; None where the checksum fails."""
    height, width = picture.shape[:2]
    rows = slice(height // 32, height * 3 // 32)
    value = 0
    for bit in range(BITS):
        left = width * (4 * bit + 1) // (4 * BITS)
        right = max(width * (4 * bit + 3) // (4 * BITS), left + 1)
        value = value << 1 | int(picture[rows, left:right].mean() > 128)
    valid = value & 0xFF == ~sum((value >> 8).to_bytes(3, "big")) & 0xFF
    return value >> 8 if valid else None


def is_flash(picture: ByteArray) -> bool:
    """Whether the middle of a picture [H, W, 3] is lit."""
    height, width = picture.shape[:2]
    middle = picture[height * 3 // 8 : height * 5 // 8, width * 3 // 8 : width * 5 // 8]
    return bool(middle.mean() > 160)


@dataclass
class _State:
    clock: FrameClock
    pending: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    quiet_s: float = QUIET_S
    flash: int = 0
    heard_s: float = 0.0
    onset_s: float | None = None
    period_s: float | None = None

    def begin_sound(self) -> None:
        self.flash = FLASH_FRAMES
        if self.onset_s is not None:
            self.period_s = self.heard_s - self.onset_s
        self.onset_s = self.heard_s

    def since_ms(self, media_s: float) -> int | None:
        """From the nearest onset to a media time; None before the first."""
        if self.onset_s is None:
            return None
        since_s = media_s - self.onset_s
        if self.period_s is not None and since_s > self.period_s / 2:
            since_s -= self.period_s
        return round(1000 * since_s)


class TestcardEngine:
    """Needs no weights; `look_ahead_ms` and `streams` let tests declare what they like."""

    __test__ = False  # not a test case

    def __init__(self, *, size_px: int = 512, look_ahead_ms: int = 80, streams: int = 1) -> None:
        self.streams = streams
        self._spec = EngineSpec("testcard", 16000, FPS, size_px, 1, 0, 16 * look_ahead_ms)
        self.stage_ms: dict[str, float] = {}

    @property
    def spec(self) -> EngineSpec:
        return self._spec

    def prepare(self, portrait: Portrait) -> IdentityLatents:
        size = self._spec.size_px
        picture = cv2.resize(portrait.rgba[..., :3], (size, size), interpolation=cv2.INTER_AREA)
        mark = fingerprint("testcard", size, portrait.content)
        return IdentityLatents("testcard", size, mark, {"picture": picture})

    def open(self, identity: IdentityLatents, options: StreamOptions) -> TestcardStream:
        return TestcardStream(self, identity)

    def warm_up(self) -> None:
        return None


class TestcardStream:
    """See the module; options change nothing."""

    __test__ = False

    def __init__(self, engine: TestcardEngine, identity: IdentityLatents) -> None:
        self._engine = engine
        self._state = _State(FrameClock(engine.spec))
        self.set_identity(identity)

    def push(self, audio: AudioChunk, *, render: bool = True) -> list[FrameChunk]:
        state = self._state
        due = state.clock.push(audio)
        state.pending = np.concatenate([state.pending, audio.samples])
        chunks = []
        for pts in due:
            frame_audio = state.pending[: self._engine.spec.samples_per_frame]
            state.pending = state.pending[self._engine.spec.samples_per_frame :]
            self._listen(frame_audio)
            if render:
                picture = self._draw(pts)[None]
                chunks.append(FrameChunk(picture, self._engine.spec.fps, pts, audio.generation))
        return chunks

    def flush(self) -> list[FrameChunk]:
        tail = self._state.clock.padding()
        return self.push(tail) if tail is not None else []

    def silence_from(self, pts: int) -> None:
        state, fade = self._state, self._engine.spec.sample_rate_hz // 200
        start = pts - (state.clock.end_pts - len(state.pending))
        state.pending = faded(state.pending, start, fade)

    def reset(self) -> None:
        self._state = _State(FrameClock(self._engine.spec))

    def clone(self) -> TestcardStream:
        twin = copy.copy(self)
        twin._state = copy.deepcopy(self._state)
        return twin

    def configure(self, options: StreamOptions) -> None:
        return None

    def set_identity(self, identity: IdentityLatents) -> None:
        self._picture: ByteArray = identity.tensors["picture"].astype(np.uint8) // np.uint8(2)

    def _listen(self, samples: FloatArray) -> None:
        state = self._state
        state.flash = max(state.flash - 1, 0)
        step = len(samples) // 8
        step_s = step / self._engine.spec.sample_rate_hz
        for block in samples[: step * 8].reshape(8, step):
            if np.sqrt(np.mean(np.square(block))) > ONSET_LEVEL:
                if state.quiet_s >= QUIET_S:
                    state.begin_sound()
                state.quiet_s = 0.0
            else:
                state.quiet_s += step_s
            state.heard_s += step_s

    def _draw(self, pts: int) -> ByteArray:
        start_s = perf_counter()
        size = self._engine.spec.size_px
        picture = self._picture.copy()
        edges = np.arange(BITS + 1) * size // BITS
        for bit, lit in enumerate(pattern(pts)):
            picture[: size // 8, edges[bit] : edges[bit + 1]] = 255 * lit
        angle = 2 * np.pi * (pts % 50) / 50
        hand = (size // 2 + int(size * 0.4 * np.sin(angle)), size * 9 // 10)
        cv2.circle(picture, hand, size // 24, (80, 200, 255), -1, cv2.LINE_AA)
        if self._state.flash:
            picture[size // 4 : size * 3 // 4, size // 4 : size * 3 // 4] = 255
        since_ms = self._state.since_ms((pts + 0.5) / float(self._engine.spec.fps))
        if since_ms is not None:
            _draw_number(picture, since_ms)
        self._engine.stage_ms = {"render": 1000 * (perf_counter() - start_s)}
        return picture


def _draw_number(picture: ByteArray, since_ms: int) -> None:
    """Milliseconds in digits, and a pointer on a scale, below the flash."""
    size = picture.shape[0]
    text, thickness = f"{since_ms:+d}", max(size // 128, 1)
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, size / 512, thickness)
    place = ((size - width) // 2, size * 211 // 256)
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_DUPLEX, size / 512, (255,) * 3, thickness)
    row = size * 216 // 256
    for tick in range(-SCALE_MS, SCALE_MS + 1, 100):
        x = size // 2 + tick * size * 2 // (5 * SCALE_MS)
        cv2.line(picture, (x, row), (x, row + size // (64 if tick else 32)), (200,) * 3, 1)
    at = max(-SCALE_MS, min(SCALE_MS, since_ms))
    x = size // 2 + at * size * 2 // (5 * SCALE_MS)
    cv2.rectangle(picture, (x - 2, row), (x + 2, row + size // 32), (255, 220, 60), -1)
