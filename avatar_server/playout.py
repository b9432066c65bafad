"""PURE. What is due when: the session's timeline, its two taps, and the picture gate.

Media time counts samples at 48 kHz from the session's start. Tick k (every 20 ms) appends
samples [960 k, 960 (k + 1)). The picture tap feeds the engine, the sound tap feeds the
viewers; their delays are the only place where sound and picture are shifted against each
other, so a lip-sync offset is exact by construction and needs no time stamps.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from fractions import Fraction

import numpy as np

from avatar_server.protocol import MAX_OFFSET_MS
from sonic_stream.media import FloatArray, MediaPacket
from sonic_stream.smoothing import faded, slew

SAMPLE_RATE_HZ = 48_000
TICK_SAMPLES = 960
TICK_S = TICK_SAMPLES / SAMPLE_RATE_HZ
# How fast an offset changes, in seconds per second: faster would be heard, or seen.
SOUND_SLEW = 0.05
PICTURE_SLEW = 0.2
FADE = 240  # samples, of sound that is cut off
READS = 256  # that a tap remembers: the latest 5 s


def samples_of_ms(milliseconds: float) -> int:
    return round(milliseconds * SAMPLE_RATE_HZ / 1000)


class Timeline:
    """The last seconds of a session's gap-free sound, addressed by media time."""

    def __init__(self, capacity: int = 2 * SAMPLE_RATE_HZ) -> None:
        self._ring: FloatArray = np.zeros(capacity, np.float32)
        self.end_pts = 0

    def append(self, samples: FloatArray) -> None:
        if len(samples) > len(self._ring):
            raise ValueError(f"{len(samples)} samples exceed the timeline's {len(self._ring)}")
        self._ring[self._slots(self.end_pts, len(samples))] = samples
        self.end_pts += len(samples)

    def read(self, start_pts: int, count: int) -> FloatArray:
        """Samples [start, start + count); before media time 0 there is silence."""
        oldest = self.end_pts - len(self._ring)
        if start_pts + count > self.end_pts or start_pts < oldest:
            raise ValueError(f"[{start_pts}, +{count}) is outside [{oldest}, {self.end_pts})")
        return self._ring[self._slots(start_pts, count)]

    def silence_from(self, start_pts: int, fade: int = FADE) -> None:
        """Forget the sound from `start_pts` on, after a fade-out of `fade` samples."""
        start_pts = max(start_pts, self.end_pts - len(self._ring), 0)
        slots = self._slots(start_pts, self.end_pts - start_pts)
        self._ring[slots] = faded(self._ring[slots], 0, fade)

    def _slots(self, start_pts: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.arange(start_pts, start_pts + count, dtype=np.int64) % len(self._ring)


class Tap:
    """A reader some samples behind the timeline's end.

    A new delay is reached by playing a little slower or faster (`slew` samples per sample),
    never by a jump; at rest the samples are the timeline's own, bit for bit.
    """

    def __init__(self, delay: int, slew: float) -> None:
        self._delay = float(delay)
        self._target = delay
        self._slew = slew
        self._reads: deque[tuple[int, float]] = deque(maxlen=READS)  # ends: of time, in sound

    @property
    def delay(self) -> float:
        return self._delay

    @property
    def at_rest(self) -> bool:
        return self._delay == self._target

    def set_delay(self, delay: int) -> None:
        self._target = delay

    def read(self, timeline: Timeline, count: int) -> FloatArray:
        """The next `count` samples, assuming `count` were appended since the last call."""
        start = timeline.end_pts - count - self._delay
        at_rest = self.at_rest
        self._delay = slew(self._delay, self._target, self._slew * count)
        end = timeline.end_pts - self._delay
        self._reads.append((timeline.end_pts, end))
        if at_rest:
            return timeline.read(int(start), count)
        positions = start + (end - start) * np.arange(count) / count
        first = int(np.floor(start))
        span = timeline.read(first, min(int(np.ceil(end)) + 1, timeline.end_pts) - first)
        return np.interp(positions - first, np.arange(len(span)), span).astype(np.float32)

    def when(self, sound_pts: int) -> int:
        """The media time at which the sound of `sound_pts` was read, of the reads remembered;
        the end of the last one when it was not yet."""
        times, sounds = zip(*self._reads, strict=True) if self._reads else ((0,), (0.0,))
        return int(np.interp(sound_pts, sounds, times))


class PictureFeed:
    """The picture tap's ticks on their way to the worker, kept back as long as it leaves time
    enough: what is drawn cannot be taken back when somebody interrupts.

    One tick more waits when all of the last `PROVEN` pictures came so early that they would have
    come in time all the same; none as soon as one was nearly late.
    """

    MOST = 2
    PROVEN = 250
    RESERVE_S = 0.008
    NEARLY_LATE_S = 0.004

    def __init__(self) -> None:
        self.kept = 0
        self._waiting: deque[tuple[int, FloatArray]] = deque()
        self._least_s = math.inf
        self._seen = 0

    def came(self, early_s: float) -> None:
        """A picture came from the worker so long before its instant."""
        self._seen += 1
        self._least_s = min(self._least_s, early_s)
        if early_s < self.NEARLY_LATE_S:
            self._keep(0)
        elif self._seen >= self.PROVEN:
            proven = self._least_s > TICK_S + self.RESERVE_S
            self._keep(min(self.kept + proven, self.MOST))

    def _keep(self, ticks: int) -> None:
        self.kept, self._least_s, self._seen = ticks, math.inf, 0

    def add(self, pts: int, samples: FloatArray) -> None:
        self._waiting.append((pts, samples))

    def take(self) -> list[tuple[int, FloatArray]]:
        """What the worker is to hear now, with its media time."""
        return [self._waiting.popleft() for _ in range(len(self._waiting) - self.kept)]

    def silence_from(self, start_pts: int, fade: int = FADE) -> None:
        for index, (pts, samples) in enumerate(self._waiting):
            self._waiting[index] = pts, faded(samples, start_pts - pts, fade)


def timeline_for(latency_ms: float) -> Timeline:
    """Long enough for the latest tap: latency, the largest offset, and a second."""
    return Timeline(samples_of_ms(latency_ms + MAX_OFFSET_MS + 1000))


class LipSync:
    """The two taps of a session: engine latency and offset turned into delays.

    `offset_ms` > 0: the picture comes later, < 0: the sound comes later.
    """

    def __init__(self, latency_ms: float) -> None:
        self.latency = samples_of_ms(latency_ms)
        self.picture = Tap(0, PICTURE_SLEW)
        self.sound = Tap(self.latency, SOUND_SLEW)

    def set_offset(self, offset_ms: int) -> None:
        self.picture.set_delay(samples_of_ms(max(offset_ms, 0)))
        self.sound.set_delay(self.latency + samples_of_ms(max(-offset_ms, 0)))


class PictureGate:
    """Holds encoded pictures until their instant; late ones leave at once, none is reordered.

    An encoded picture cannot be dropped without breaking its followers, so overload is dealt
    with before encoding; the gate is bounded all the same: past `capacity` per codec the
    oldest leave early.
    """

    def __init__(self, latency_ms: float, fps: Fraction, capacity: int = 75) -> None:
        self._latency_s = latency_ms / 1000
        self._frame_s = float(1 / fps)
        self._capacity = capacity
        self._waiting: dict[str, deque[MediaPacket]] = {}

    def due_s(self, frame_pts: int) -> float:
        """Seconds since the session's start at which a picture leaves."""
        return frame_pts * self._frame_s + self._latency_s

    def add(self, packet: MediaPacket) -> None:
        self._waiting.setdefault(packet.codec, deque()).append(packet)

    def take(self, elapsed_s: float) -> list[MediaPacket]:
        """Pictures due at `elapsed_s` since the session's start (a millisecond of grace)."""
        ready: list[MediaPacket] = []
        for queue in self._waiting.values():
            while queue and (
                self.due_s(queue[0].pts) <= elapsed_s + 1e-3 or len(queue) > self._capacity
            ):
                ready.append(queue.popleft())
        return ready


class PictureHold:
    """The pictures of one sink, held back by a delay that slews as they come.

    Their stamps move with them (in 1/90000 s), so that a receiver which pairs stamps with the
    time of arrival, and one which plays by stamps alone, both show them that much later. Due
    times never run backwards, as the slew is slower than time. What waits is bounded by the
    largest offset.
    """

    TIME_BASE = Fraction(1, 90_000)

    def __init__(self) -> None:
        self._delay_s = 0.0
        self._target_s = 0.0
        self._last_s: float | None = None
        self._waiting: deque[tuple[float, MediaPacket]] = deque()

    def set_delay(self, milliseconds: int) -> None:
        self._target_s = milliseconds / 1000

    def passes(self, packet: MediaPacket) -> bool:
        """Whether a picture goes at once, as it is: nothing is held and nothing is to be."""
        if self._waiting or self._delay_s or self._target_s:
            return False
        self._last_s = float(packet.pts * packet.time_base)
        return True

    @property
    def next_due_s(self) -> float | None:
        return self._waiting[0][0] if self._waiting else None

    def add(self, packet: MediaPacket, now_s: float) -> None:
        media_s = float(packet.pts * packet.time_base)
        if self._last_s is None:
            self._delay_s = self._target_s  # nothing was shown yet that could jump
        else:
            most = PICTURE_SLEW * max(media_s - self._last_s, 0.0)
            self._delay_s = slew(self._delay_s, self._target_s, most)
        self._last_s = media_s
        moved = replace(
            packet, pts=round((media_s + self._delay_s) / self.TIME_BASE), time_base=self.TIME_BASE
        )
        self._waiting.append((now_s + self._delay_s, moved))

    def take(self, now_s: float) -> list[MediaPacket]:
        ready = []
        while self._waiting and self._waiting[0][0] <= now_s:
            ready.append(self._waiting.popleft()[1])
        return ready


class SoundHold:
    """The sound of one sink, later by a delay that slews; exact to the sample."""

    def __init__(self) -> None:
        self._timeline = Timeline(samples_of_ms(MAX_OFFSET_MS) + 4 * TICK_SAMPLES)
        self._tap = Tap(0, SOUND_SLEW)

    def set_delay(self, milliseconds: int) -> None:
        delay = samples_of_ms(milliseconds)
        if self._timeline.end_pts == 0:
            self._tap = Tap(delay, SOUND_SLEW)  # nothing was heard yet that could jump
        else:
            self._tap.set_delay(delay)

    @property
    def at_rest(self) -> bool:
        """The samples that come out are those that go in."""
        return self._tap.at_rest and self._tap.delay == 0

    def shift(self, samples: FloatArray) -> FloatArray:
        self._timeline.append(samples)
        return self._tap.read(self._timeline, len(samples))

    def silence(self) -> None:
        """What was not heard yet never is."""
        self._timeline.silence_from(self._timeline.end_pts - int(self._tap.delay))
