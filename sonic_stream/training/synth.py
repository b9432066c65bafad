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
RESTING = 0.4  # share of the utterances after which the mouth has time to shut
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


@dataclass(frozen=True)
class Silence:
    """Seconds before and after the words."""

    lead_s: float = 0.0
    tail_s: float = 0.0


def varied(source: Utterance, speed: float, silence: Silence) -> Utterance:
    """The same words `speed` times as fast, with pitch and formants shifted along."""
    ratio = Fraction(1 / speed).limit_denominator(160)
    stretch, lead_s = float(ratio), silence.lead_s
    sound = source.samples
    if ratio != 1:
        sound = np.asarray(resample_poly(sound, ratio.numerator, ratio.denominator), np.float32)
    parts = [
        Segment(p.start_s * stretch + lead_s, p.end_s * stretch + lead_s, p.phone)
        for p in source.parts
    ]
    edges = (round(lead_s * RATE_HZ), round(silence.tail_s * RATE_HZ))
    parts.insert(0, Segment(0.0, lead_s, SILENCE))
    return Utterance(np.pad(sound, edges), parts, source.voice)


def both_speeds(source: Utterance, chance: random.Random) -> Iterator[Utterance]:
    """As spoken, and slower or faster by 5 to 22 %."""
    other = chance.choice([chance.uniform(0.82, 0.95), chance.uniform(1.05, 1.22)])
    for speed in (1.0, other):
        tail_s = chance.uniform(0.5, 1.6) if chance.random() < RESTING else 0.0
        yield varied(source, speed, Silence(chance.uniform(0.05, 0.5), tail_s))


@dataclass(frozen=True)
class Plan:
    """How many utterances of each engine, and which share of the recorded prompts; `words` widens
    the English vocabulary."""

    espeak: int = 1600
    flite: int = 1600
    festival: int = 1500
    neural: int = 2400
    seed: int = 1
    words: Sequence[str] = ()
    prompts: float = 1.0
    align_steps: int = 1200

    def scaled(self, share: float) -> Plan:
        """A share of it, for a try."""
        return replace(
            self,
            espeak=round(share * self.espeak),
            flite=round(share * self.flite),
            festival=round(share * self.festival),
            neural=round(share * self.neural),
            prompts=share * self.prompts,
            align_steps=max(1, round(share * self.align_steps)),
        )
