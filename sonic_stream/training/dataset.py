"""Utterances to arrays, kept apart by whether their voice is trained on or held out."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from sonic_stream.media import FloatArray
from sonic_stream.training.phones import CLASS_ID, VOWELS, targets
from sonic_stream.training.rows import mel_power
from sonic_stream.training.synth import RATE_HZ, Utterance, both_speeds

# Never trained on.
HELD_OUT = ("flite:rms", "festival:ked_diphone", "espeak:f3", "espeak:klatt4", "prompts:fr")
DRAWLING = 0.08  # share of the utterances with one vowel held: hesitation, song
SHORTEST_DRAWL_ROWS = 8
VOWEL_IDS = [CLASS_ID[name] for name in VOWELS]
KINDS = ("espeak", "prompts", "other")  # formant synthesis, recordings, voices made of recordings
HalfArray = npt.NDArray[np.float16]


@dataclass(frozen=True)
class Rows:
    """Rows at 100 Hz, utterances end to end: log-mel [n, 80], channels [n, 11], classes [n]
    and the kind of voice [n]. Half precision: hours of speech stay in memory."""

    log_mel: HalfArray
    channels: HalfArray
    classes: npt.NDArray[np.int8]
    kinds: npt.NDArray[np.int8]

    @property
    def hours(self) -> float:
        return len(self.log_mel) / 360_000


@dataclass(frozen=True)
class Corpus:
    train: Rows
    held_out: dict[str, Rows]


def build(utterances: Iterable[Utterance], seed: int) -> Corpus:
    """Each utterance at two speeds. Raises `ValueError` when there is nothing to train on."""
    chance = random.Random(seed)
    train: list[Rows] = []
    held_out: dict[str, list[Rows]] = {}
    for spoken in utterances:
        where = held_out.setdefault(spoken.voice, []) if spoken.voice in HELD_OUT else train
        for made in both_speeds(spoken, chance):
            rows = rows_of(made)
            where.append(drawled(rows, chance) if chance.random() < DRAWLING else rows)
    if not train:
        raise ValueError("no utterance could be synthesised: are the speech engines installed?")
    return Corpus(join(train), {voice: join(rows) for voice, rows in held_out.items()})


def rows_of(spoken: Utterance) -> Rows:
    power = mel_power(spoken.samples)
    channels, classes = targets(spoken.samples, spoken.parts, len(power), RATE_HZ)
    return Rows(
        np.log(power + 1e-9).astype(np.float16),
        channels.astype(np.float16),
        classes.astype(np.int8),
        np.full(len(power), kind_of(spoken.voice), np.int8),
    )


def drawled(rows: Rows, chance: random.Random) -> Rows:
    """One vowel held for 0.4 to 1.6 s, by going to and fro through its middle; unchanged where
    none lasts for 80 ms."""
    vowel = np.isin(rows.classes, VOWEL_IDS)
    edges = np.flatnonzero(np.diff(rows.classes, prepend=-1, append=-1))
    runs = [
        (a, b) for a, b in pairwise(edges.tolist()) if vowel[a] and b - a >= SHORTEST_DRAWL_ROWS
    ]
    if not runs:
        return rows
    first, last = chance.choice(runs)
    middle, reach = (first + last) // 2, (last - first) // 4
    to_and_fro = [
        *range(middle - reach, middle + reach),
        *range(middle + reach, middle - reach, -1),
    ]
    held = np.resize(to_and_fro, chance.randint(40, 160))
    index = np.concatenate([np.arange(held[0]), held, np.arange(held[-1] + 1, len(rows.classes))])
    return Rows(rows.log_mel[index], rows.channels[index], rows.classes[index], rows.kinds[index])


def join(parts: list[Rows]) -> Rows:
    return Rows(
        np.concatenate([p.log_mel for p in parts]),
        np.concatenate([p.channels for p in parts]),
        np.concatenate([p.classes for p in parts]),
        np.concatenate([p.kinds for p in parts]),
    )


def kind_of(voice: str) -> int:
    engine = voice.split(":")[0]
    return KINDS.index(engine if engine in KINDS else "other")


def crops(rows: Rows, length: int, shares: Sequence[float]) -> CropPicker:
    """Where crops of `length` rows may start, so that the kinds have the given shares; those of
    absent kinds fall to the others."""
    starts = np.arange(0, len(rows.log_mel) - length, 7)
    if not len(starts):
        raise ValueError(f"less than {length} rows of speech")
    by_kind = [starts[rows.kinds[starts] == kind] for kind in range(len(KINDS))]
    chances = np.array(shares) * [len(places) > 0 for places in by_kind]
    return CropPicker(by_kind, chances / chances.sum())


@dataclass(frozen=True)
class CropPicker:
    by_kind: list[npt.NDArray[np.int64]]
    chances: npt.NDArray[np.float64]

    def pick(self, count: int, chance: np.random.Generator) -> npt.NDArray[np.int64]:
        kinds = chance.choice(len(self.by_kind), count, p=self.chances)
        return np.array([chance.choice(self.by_kind[kind]) for kind in kinds], np.int64)


@dataclass(frozen=True)
class Crops:
    """log-mel [B, T, 80], channels [B, T, 11], classes [B, T]."""

    log_mel: FloatArray
    channels: FloatArray
    classes: npt.NDArray[np.int64]


def crop(rows: Rows, starts: npt.NDArray[np.int64], length: int) -> Crops:
    index = starts[:, None] + np.arange(length)
    return Crops(
        rows.log_mel[index].astype(np.float32),
        rows.channels[index].astype(np.float32),
        rows.classes[index].astype(np.int64),
    )
