"""PURE. The microphone's receive buffer: packets in at their own pace, 20 ms out at ours.

Bounded and time-based. It reorders, conceals what is lost, and keeps its level near a target
that adapts to the network: too full (backlog, the sender's clock runs fast) and a pitch
period is cut out, too empty and one is put in, always with a cross-fade, so that neither
drift nor a burst ever becomes lasting delay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sonic_stream.media import FloatArray

RATE_HZ = 48_000
MS = RATE_HZ // 1000
PACKET = 20 * MS  # what a lost packet is taken to have held
MIN_TARGET, MAX_TARGET = 40 * MS, 120 * MS
MAX_LEVEL = 300 * MS
MIN_LAG, MAX_LAG = 5 * MS // 2, 15 * MS
WINDOW_READS = 25  # the level is judged by its minimum over half a second
CALM_READS = 500  # without an underrun for this long the target shrinks
FADE_PER_LOSS = 0.6  # gain from one concealed packet to the next

Decode = Callable[[bytes], FloatArray]


@dataclass(slots=True)
class MicStats:
    received: int = 0
    concealed: int = 0
    late: int = 0
    dropped: int = 0
    stretched: int = 0
    shrunk: int = 0


class MicBuffer:
    """`decode` turns one packet into float32 [n] mono at 48 kHz; it is called in order."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._packets: dict[int, bytes] = {}  # by unwrapped RTP time stamp
        self._next: int | None = None  # the time stamp that plays next
        self._pcm: FloatArray = np.zeros(0, np.float32)
        self._past: FloatArray = np.zeros(3 * MAX_LAG, np.float32)
        self._levels: deque[int] = deque(maxlen=WINDOW_READS)
        self._target = MIN_TARGET
        self._calm = 0
        self._losses = 0
        self._newest: int | None = None
        self.counts = MicStats()

    def push(self, timestamp: int, payload: bytes) -> None:
        """One packet with its 32-bit RTP time stamp, in any order, any number of times."""
        moment = self._unwrap(timestamp)
        self.counts.received += 1
        if self._next is not None and moment < self._next:
            self.counts.late += 1
            return
        self._packets[moment] = payload
        while self._level() > MAX_LEVEL:
            self._skip_oldest()

    def read(self, n_samples: int) -> FloatArray:
        """Exactly `n_samples`: what was said, what it may have been, or silence."""
        if self._next is None:
            if self._level() < self._target:
                return self._played(np.zeros(n_samples, np.float32))
            self._next = min(self._packets)
        spare = 2 * MAX_LAG  # so that a period can be cut out or put in
        self._keep_level(n_samples, spare)
        while len(self._pcm) < n_samples and self._next is not None:
            self._append_next(n_samples)
        out, self._pcm = self._pcm[:n_samples], self._pcm[n_samples:]
        if len(out) < n_samples:
            out = np.concatenate([out, np.zeros(n_samples - len(out), np.float32)])
        return self._played(out)

    def stats(self) -> dict[str, float]:
        counts = self.counts
        return {
            "level_ms": self._level() / MS,
            "target_ms": self._target / MS,
            "concealed": counts.concealed,
            "late": counts.late,
            "dropped": counts.dropped,
        }

    # Time.

    def _unwrap(self, timestamp: int) -> int:
        """Extend a 32-bit time stamp to the nearest one around the newest seen."""
        if self._newest is None:
            self._newest = timestamp
        moment = self._newest + (timestamp - self._newest + (1 << 31)) % (1 << 32) - (1 << 31)
        if abs(moment - self._newest) > 10 * RATE_HZ:  # another stream, or a long pause
            self._restart()
        self._newest = max(moment, self._newest) if self._packets or self._next else moment
        return moment

    def _restart(self) -> None:
        self._packets.clear()
        self._next = None

    def _level(self) -> int:
        """Samples from what plays next to the end of the newest packet."""
        if not self._packets:
            return len(self._pcm)
        first = self._next if self._next is not None else min(self._packets)
        return len(self._pcm) + max(self._packets) + PACKET - first

    def _skip_oldest(self) -> None:
        """Forget the oldest packet, and with it any gap before it."""
        oldest = min(self._packets)
        del self._packets[oldest]
        self.counts.dropped += 1
        self._next = min(self._packets, default=oldest + PACKET)

    # Sound.

    def _append_next(self, n_samples: int) -> None:
        assert self._next is not None
        payload = self._packets.pop(self._next, None)
        if payload is not None:
            samples = self._decode(payload)
            self._next += len(samples) or PACKET
            self._append(self._rejoin(samples) if self._losses else samples)
            self._losses = 0
            return
        gap = min(self._packets, default=self._next) - self._next
        if 0 < gap < PACKET // 2:  # a time stamp off the grid
            self._next += gap
            return
        if self._packets:
            self._next += PACKET
        else:
            self._underrun()
        self.counts.concealed += 1
        self._append(self._conceal(max(PACKET, n_samples)))
        self._losses += 1

    def _underrun(self) -> None:
        """Nothing is there at all: wait for the next talk, with more reserve."""
        if self._losses == 0:
            self._target = min(self._target + 20 * MS, MAX_TARGET)
            self._calm = 0
        if self._losses >= 5:
            self._next = None
            self._losses = 0

    def _conceal(self, count: int) -> FloatArray:
        """The last pitch period again and again, fading away."""
        history = np.concatenate([self._past, self._pcm])[-3 * MAX_LAG :]
        lag = _pitch_lag(history)
        repeated = np.resize(history[-lag:], count)
        start = FADE_PER_LOSS**self._losses if self._losses < 3 else 0.0
        end = FADE_PER_LOSS ** (self._losses + 1) if self._losses < 2 else 0.0
        return np.asarray(repeated * np.linspace(start, end, count), np.float32)

    def _rejoin(self, samples: FloatArray) -> FloatArray:
        """Fade from the concealment into the real sound."""
        count = min(5 * MS, len(samples))
        tail = self._conceal(PACKET)[:count]
        return np.concatenate([_crossfade(tail, samples[:count]), samples[count:]])

    def _append(self, samples: FloatArray) -> None:
        self._pcm = np.concatenate([self._pcm, samples])

    def _played(self, out: FloatArray) -> FloatArray:
        self._past = np.concatenate([self._past, out])[-3 * MAX_LAG :]
        return out

    # Level.

    def _keep_level(self, n_samples: int, spare: int) -> None:
        self._levels.append(self._level() - n_samples)
        self._calm += 1
        if self._calm > CALM_READS and self._target > MIN_TARGET:
            self._target -= 5 * MS
            self._calm = 0
        if len(self._levels) < WINDOW_READS:
            return
        excess = min(self._levels) - (self._target - PACKET)
        if excess > 15 * MS:
            self._change_length(spare, shrink=True)
        elif excess < -15 * MS and self._losses == 0:
            self._change_length(spare, shrink=False)

    def _change_length(self, spare: int, *, shrink: bool) -> None:
        while len(self._pcm) < spare and self._next in self._packets:
            self._append_next(0)
        if len(self._pcm) < spare:
            return
        lag = _pitch_lag(self._pcm[:spare])
        first, second = self._pcm[:lag], self._pcm[lag : 2 * lag]
        if shrink:
            self._pcm = np.concatenate([_crossfade(first, second), self._pcm[2 * lag :]])
            self.counts.shrunk += 1
        else:
            self._pcm = np.concatenate([first, _crossfade(second, first), self._pcm[lag:]])
            self.counts.stretched += 1
        change = -lag if shrink else lag
        self._levels = deque((level + change for level in self._levels), WINDOW_READS)


def _crossfade(old: FloatArray, new: FloatArray) -> FloatArray:
    weight = np.linspace(0.0, 1.0, len(old), dtype=np.float32)
    return np.asarray(old * (1 - weight) + new * weight, np.float32)


def _pitch_lag(samples: FloatArray) -> int:
    """The lag (2.5 to 15 ms) at which the sound's end resembles itself best."""
    count = len(samples) - MAX_LAG
    tail = samples[-count:]
    best, best_score = MAX_LAG, -np.inf
    energy = float(tail @ tail) + 1e-9
    for lag in range(MIN_LAG, MAX_LAG + 1, 6):
        earlier = samples[len(samples) - count - lag : len(samples) - lag]
        score = float(tail @ earlier) / np.sqrt(energy * (float(earlier @ earlier) + 1e-9))
        if score > best_score:
            best, best_score = lag, score
    return best
