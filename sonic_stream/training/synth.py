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
BREATHING, WAITING = 0.35, 0.2  # shares of the utterances: after a breath, after a long silence
SMACKING = 0.4  # share of the breaths that begin with the click of parting lips
PARTED_S = 0.06  # before the sound of a breath
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


def breathing(source: Utterance, chance: np.random.Generator) -> Utterance:
    """With a breath taken in the silence before its words: noise through an open throat, 14 to
    38 dB below the speech."""
    first = source.parts[0]
    end_s = first.end_s - float(chance.uniform(0.12, 0.3))
    start_s = max(0.1, end_s - float(chance.uniform(0.2, 0.6)))
    noise = chance.standard_normal(round((end_s - start_s) * RATE_HZ))
    for formant_hz in chance.uniform((450, 1300, 2200, 3300), (800, 1900, 3000, 4800)):
        radius, angle = chance.uniform(0.82, 0.95), 2 * np.pi * formant_hz / RATE_HZ
        noise = lfilter([1, -0.6], [1, -2 * radius * np.cos(angle), radius**2], noise)
    noise *= np.sin(np.pi * np.linspace(0, 1, len(noise)) ** chance.uniform(0.7, 1.6))
    if chance.random() < SMACKING:
        smack = np.exp(-np.arange(len(noise)) / (RATE_HZ * chance.uniform(0.002, 0.008)))
        noise += smack * chance.standard_normal(len(noise)) * noise.std() * chance.uniform(1, 6)
    level = 10 ** (chance.uniform(-38, -14) / 20) * float(np.sqrt(np.mean(source.samples**2)))
    sound, start = source.samples.copy(), round(start_s * RATE_HZ)
    sound[start : start + len(noise)] += noise * (level / (float(noise.std()) + 1e-9))
    breath = [
        Segment(0.0, start_s - PARTED_S, SILENCE),
        Segment(start_s - PARTED_S, end_s, BREATH),
        Segment(end_s, first.end_s, SILENCE),
    ]
    return Utterance(sound, breath + source.parts[1:], source.voice)


def both_speeds(source: Utterance, chance: random.Random) -> Iterator[Utterance]:
    """As spoken, and slower or faster by 5 to 22 %; some after a breath."""
    other = chance.choice([chance.uniform(0.82, 0.95), chance.uniform(1.05, 1.22)])
    for speed in (1.0, other):
        tail_s = chance.uniform(0.5, 1.6) if chance.random() < RESTING else 0.0
        lot = chance.random()
        waits = lot < BREATHING + WAITING
        lead_s = chance.uniform(0.5, 1.4) if waits else chance.uniform(0.05, 0.5)
        made = varied(source, speed, Silence(lead_s, tail_s))
        breathes = lot < BREATHING
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
