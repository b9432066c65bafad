"""Utterances to arrays, kept apart by whether their voice is trained on or held out."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sonic_stream.media import FloatArray
from sonic_stream.training.phones import targets
from sonic_stream.training.rows import mel_power
from sonic_stream.training.synth import RATE_HZ, Utterance, both_speeds

HELD_OUT = ("flite:rms", "festival:ked_diphone", "espeak:f3", "espeak:klatt4")  # never trained on
HalfArray = npt.NDArray[np.float16]


@dataclass(frozen=True)
class Rows:
    """Rows at 100 Hz, utterances end to end: log-mel [n, 80], channels [n, 10], classes [n]
    and whether espeak-ng spoke [n]. Half precision: hours of speech stay in memory."""

    log_mel: HalfArray
    channels: HalfArray
    classes: npt.NDArray[np.int8]
    is_espeak: npt.NDArray[np.bool_]

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
        where.extend(rows_of(made) for made in both_speeds(spoken, chance))
    if not train:
        raise ValueError("no utterance could be synthesised: are the speech engines installed?")
    return Corpus(_join(train), {voice: _join(rows) for voice, rows in held_out.items()})


def rows_of(spoken: Utterance) -> Rows:
    power = mel_power(spoken.samples)
    channels, classes = targets(spoken.samples, spoken.parts, len(power), RATE_HZ)
    return Rows(
        np.log(power + 1e-9).astype(np.float16),
        channels.astype(np.float16),
        classes.astype(np.int8),
        np.full(len(power), spoken.voice.startswith("espeak:")),
    )


def _join(parts: list[Rows]) -> Rows:
    return Rows(
        np.concatenate([p.log_mel for p in parts]),
        np.concatenate([p.channels for p in parts]),
        np.concatenate([p.classes for p in parts]),
        np.concatenate([p.is_espeak for p in parts]),
    )


def crops(rows: Rows, length: int, espeak_share: float) -> CropPicker:
    """Where crops of `length` rows may start, so that espeak-ng has the given share."""
    starts = np.arange(0, len(rows.log_mel) - length, 7)
    robot = starts[rows.is_espeak[starts]]
    human = starts[~rows.is_espeak[starts]]
    if not len(starts):
        raise ValueError(f"less than {length} rows of speech")
    return CropPicker(
        robot if len(robot) else starts, human if len(human) else starts, espeak_share
    )


@dataclass(frozen=True)
class CropPicker:
    robot: npt.NDArray[np.int64]
    human: npt.NDArray[np.int64]
    espeak_share: float

    def pick(self, count: int, chance: np.random.Generator) -> npt.NDArray[np.int64]:
        robot = chance.random(count) < self.espeak_share
        chosen = np.where(robot, chance.choice(self.robot, count), chance.choice(self.human, count))
        return np.asarray(chosen, np.int64)


@dataclass(frozen=True)
class Crops:
    """log-mel [B, T, 80], channels [B, T, 10], classes [B, T]."""

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
