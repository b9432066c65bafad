"""PURE. When the lids close, and how: at a human's rate, in pauses, with large looks aside."""

from __future__ import annotations

import math

from sonic_stream.engines.lite.chance import Dice
from sonic_stream.engines.lite.geometry import eased
from sonic_stream.engines.lite.prosody import FRAME_S, Cues

# A lid falls fast and rises slowly; shut for a frame's length, so that every rate shows it shut.
CLOSING_S, SHUT_S, OPENING_S = 0.08, 0.045, 0.19
LASTS_S = CLOSING_S + SHUT_S + OPENING_S
SHORTEST_S, MEDIAN_S, LONGEST_S, SIGMA = 2.0, 3.3, 9.6, 0.55
TWICE = 0.09  # of the blinks come as two
SECOND_AFTER_S = (0.38, 0.55)
AT_PHRASE_END, AT_PHRASE_BEGIN, WITH_LOOK = 0.85, 0.3, 0.65
IN_SPEECH, IN_PAUSE = 0.95, 2.0  # attention holds the lids up, pauses let them fall
PAUSE_S = 1.5  # a longer pause is rest
INTERVAL, TWO, SECOND, CUE, LATENCY, PHASE, DEPTH = range(100, 107)


class Blinker:
    """`step` says how far the lids are closed in a frame, 0..1."""

    def __init__(self) -> None:
        self._starts_s = LASTS_S  # since the newest blink's start
        self._since_s = self._waited_s = SHORTEST_S / 2
        self._interval_s = 0.0  # drawn with the first frame
        self._second_s = 0.0  # after the first blink's start; 0 for none
        self._pending_s = math.inf  # until a blink that a cue has called for
        self._depth = 1.0

    def step(self, dice: Dice, cues: Cues, looked_aside: bool) -> float:
        self._interval_s = self._interval_s or _interval_s(dice)
        self._since_s += FRAME_S
        self._starts_s += FRAME_S
        self._pending_s -= FRAME_S
        in_pause = not cues.talking and cues.since_s < PAUSE_S
        self._waited_s += FRAME_S * (IN_SPEECH if cues.talking else IN_PAUSE if in_pause else 1.0)
        self._hear(dice, cues, looked_aside)
        if self._second_s and self._starts_s >= self._second_s:
            self._start(dice, self._starts_s - self._second_s, depth=0.9)
            self._second_s = 0.0
        elif self._since_s >= SHORTEST_S and self._is_due():
            self._start(dice, dice.between(PHASE, 0, FRAME_S), depth=1.0)
            if dice.happens(TWO, TWICE):
                self._second_s = dice.between(SECOND, *SECOND_AFTER_S)
        return self._depth * lid(self._starts_s)

    def _is_due(self) -> bool:
        late = self._waited_s >= self._interval_s or self._since_s >= LONGEST_S
        return not self._second_s and (late or self._pending_s <= 0)

    def _hear(self, dice: Dice, cues: Cues, looked_aside: bool) -> None:
        """A cue calls for a blink soon; one that comes too early is not remembered."""
        chance = WITH_LOOK * looked_aside
        chance = max(chance, AT_PHRASE_END * cues.ended, AT_PHRASE_BEGIN * cues.began)
        if chance and self._since_s >= SHORTEST_S and dice.happens(CUE, chance):
            self._pending_s = 0.0 if looked_aside else dice.between(LATENCY, 0.0, 0.3)

    def _start(self, dice: Dice, elapsed_s: float, depth: float) -> None:
        self._starts_s = elapsed_s
        self._depth = depth * (1.0 if dice.uniform(DEPTH) < 0.9 else 0.88)
        self._since_s = self._waited_s = 0.0
        self._pending_s = math.inf
        self._interval_s = _interval_s(dice)


def _interval_s(dice: Dice) -> float:
    drawn_s = dice.log_normal(INTERVAL, MEDIAN_S, SIGMA)
    # Too short ones are mirrored, or many would be the very shortest.
    return min(SHORTEST_S + abs(drawn_s - SHORTEST_S), LONGEST_S)


def lid(since_s: float) -> float:
    """Closure 0..1 at `since_s` after a blink's start."""
    if since_s <= 0 or since_s >= LASTS_S:
        return 0.0
    if since_s < CLOSING_S:
        return eased(since_s / CLOSING_S, 0, 1)
    opening = (since_s - CLOSING_S - SHUT_S) / OPENING_S
    # It leaves quickly and settles slowly.
    return 1.0 if opening <= 0 else 1 - eased(1 - (1 - opening) ** 1.35, 0, 1)
