"""Synthesised speech with phone times: what every engine gives, and how it is stored."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from scipy.signal import resample_poly

from sonic_stream.media import FloatArray
from sonic_stream.training.phones import SILENCE, Segment

RATE_HZ = 16_000
PEAK = 0.7
SHORTEST_S, LONGEST_S = 0.5, 25.0


@dataclass(frozen=True)
class Utterance:
    """`samples` float32 [n] at 16 kHz, peak 0.7; `voice` as `engine:name`."""

    samples: FloatArray
    parts: list[Segment]
    voice: str


def utterance(
    samples: FloatArray, rate_hz: int, parts: list[Segment], voice: str
) -> Utterance | None:
    """Resampled and scaled to a common peak; None where it is too short, too long or silent."""
    usable = SHORTEST_S * rate_hz <= len(samples) <= LONGEST_S * rate_hz
    if not usable or not parts or not np.any(samples):
        return None
    sound = np.asarray(resample_poly(samples, RATE_HZ, rate_hz), np.float32)
    return Utterance(sound * np.float32(PEAK / np.abs(sound).max()), parts, voice)


def varied(source: Utterance, speed: float, lead_s: float) -> Utterance:
    """The same words `speed` times as fast, with pitch and formants shifted along, after
    `lead_s` of silence."""
    ratio = Fraction(1 / speed).limit_denominator(160)
    stretch = float(ratio)
    sound = source.samples
    if ratio != 1:
        sound = np.asarray(resample_poly(sound, ratio.numerator, ratio.denominator), np.float32)
    parts = [
        Segment(p.start_s * stretch + lead_s, p.end_s * stretch + lead_s, p.phone)
        for p in source.parts
    ]
    lead = np.zeros(round(lead_s * RATE_HZ), np.float32)
    parts.insert(0, Segment(0.0, lead_s, SILENCE))
    return Utterance(np.concatenate([lead, sound]), parts, source.voice)


def both_speeds(source: Utterance, chance: random.Random) -> Iterator[Utterance]:
    """As spoken, and slower or faster by 5 to 22 %."""
    other = chance.choice([chance.uniform(0.82, 0.95), chance.uniform(1.05, 1.22)])
    for speed in (1.0, other):
        yield varied(source, speed, chance.uniform(0.05, 0.5))


@dataclass(frozen=True)
class Plan:
    """How many utterances of each engine; `words` widens the English vocabulary."""

    espeak: int = 1600
    flite: int = 1600
    festival: int = 1500
    neural: int = 2400
    seed: int = 1
    words: Sequence[str] = ()
    align_steps: int = 1200

    def scaled(self, share: float) -> Plan:
        """A share of it, for a try."""
        return replace(
            self,
            espeak=round(share * self.espeak),
            flite=round(share * self.flite),
            festival=round(share * self.festival),
            neural=round(share * self.neural),
            align_steps=max(1, round(share * self.align_steps)),
        )
