"""Synthesised speech with phone times: what every engine gives, and how it is stored."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from scipy.signal import lfilter, resample_poly

from sonic_stream.media import FloatArray
from sonic_stream.training.phones import BREATH, SILENCE, Segment

RATE_HZ = 16_000
PEAK = 0.7
BREATHING = 0.2  # share of the utterances before which one hears a breath
RESTING = 0.4  # and of those after which the mouth has time to shut
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


def breathing(source: Utterance, chance: np.random.Generator) -> Utterance:
    """With an audible breath in the silence before its words: noise through an open throat."""
    first = source.parts[0]
    length_s = min(float(chance.uniform(0.2, 0.5)), first.end_s - 0.1)
    if first.phone != SILENCE or length_s < 0.15:
        return source
    noise = chance.standard_normal(round(length_s * RATE_HZ))
    for formant_hz in chance.uniform((600, 1400, 2500, 3800), (1000, 2000, 3300, 5500)):
        radius, angle = 0.85, 2 * np.pi * formant_hz / RATE_HZ
        noise = lfilter([1, -0.6], [1, -2 * radius * np.cos(angle), radius**2], noise)
    noise *= np.sin(np.pi * np.linspace(0, 1, len(noise)) ** chance.uniform(0.7, 1.6))
    level_db = chance.uniform(-32, -16)
    end_s = first.end_s - float(chance.uniform(0.03, 0.1))
    sound, end = source.samples.copy(), round(end_s * RATE_HZ)
    scale = 10 ** (level_db / 20) * PEAK / (float(np.sqrt(np.mean(noise**2))) + 1e-9)
    sound[end - len(noise) : end] += np.asarray(noise * scale, np.float32)
    breath = [
        Segment(0.0, end_s - length_s, SILENCE),
        Segment(end_s - length_s, end_s, BREATH),
        Segment(end_s, first.end_s, SILENCE),
    ]
    return Utterance(sound, breath + source.parts[1:], source.voice)


def both_speeds(source: Utterance, chance: random.Random) -> Iterator[Utterance]:
    """As spoken, and slower or faster by 5 to 22 %; some after a breath."""
    other = chance.choice([chance.uniform(0.82, 0.95), chance.uniform(1.05, 1.22)])
    for speed in (1.0, other):
        breathes = chance.random() < BREATHING
        lead_s = chance.uniform(0.4, 1.2) if breathes else chance.uniform(0.05, 0.5)
        tail_s = chance.uniform(0.5, 1.6) if chance.random() < RESTING else 0.0
        made = varied(source, speed, Silence(lead_s, tail_s))
        yield breathing(made, np.random.default_rng(chance.getrandbits(32))) if breathes else made


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
