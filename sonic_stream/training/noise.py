"""Sounds that are not speech, as log-mel rows: noises, babble, music made up and real, clicks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from sonic_stream.media import FloatArray
from sonic_stream.training.prompts import sound
from sonic_stream.training.rows import mel_power
from sonic_stream.training.synth import RATE_HZ, Utterance

SECONDS = 40
LENGTH = SECONDS * RATE_HZ
LEVEL = 0.1  # rms
MUSIC = Path("/usr/share/asterisk/moh")
HELD_OUT_MUSIC = ("reno_project-system", "manolo_camp-morning_coffee")


def music(chance: np.random.Generator, seconds: float = SECONDS) -> FloatArray:
    """Decaying harmonic chords and drum hits on a beat [n]."""
    length = int(seconds * RATE_HZ)
    sound = np.zeros(length)
    beat = int(RATE_HZ * 60 / chance.uniform(70, 150))
    for start in range(0, length, beat):
        size = min(length - start, beat * int(chance.choice([1, 2, 4])))
        time_s = np.arange(size) / RATE_HZ
        for _ in range(int(chance.choice([1, 3, 4]))):
            pitch_hz = 55 * 2 ** (chance.integers(0, 41) / 12)
            fall = chance.uniform(0.8, 2)
            harmonics = np.arange(1, 12)[np.arange(1, 12) * pitch_hz < 7800]
            phase = 2 * np.pi * pitch_hz * harmonics[:, None] * time_s
            phase += chance.uniform(0, 6, (len(harmonics), 1))
            tone = (np.sin(phase) / harmonics[:, None] ** fall).sum(0)
            envelope = np.exp(-time_s * chance.uniform(0.3, 6)) * chance.uniform(0.2, 1)
            sound[start : start + size] += tone * envelope
        if chance.random() < 0.7:
            sound[start : start + 2500] += _hit(chance, min(2500, length - start))
    return np.asarray(sound, np.float32)


def recorded() -> Iterator[FloatArray]:
    """Real music of Debian's asterisk-moh-opsound-g722: 40 s from five places of each piece that is
    not held out; nothing where it is not installed."""
    for path in sorted(MUSIC.glob("*.g722")):
        piece = sound(path)
        if path.stem not in HELD_OUT_MUSIC and len(piece) > 2 * LENGTH:
            for start in np.linspace(0, len(piece) - LENGTH, 5).astype(int):
                yield piece[start : start + LENGTH]


def bank(spoken: Sequence[Utterance], seed: int) -> FloatArray:
    """Log-mel rows [m, 80], about 30 minutes; `spoken` is mixed into babble."""
    chance = np.random.default_rng(seed)
    rows = []
    for heard in _sounds(spoken, chance):
        rms = float(np.sqrt(np.mean(np.square(heard)))) + 1e-9
        rows.append(mel_power(np.asarray(heard * (LEVEL / rms), np.float32)))
    return np.asarray(np.log(np.concatenate(rows) + 1e-9), np.float32)


def _sounds(spoken: Sequence[Utterance], chance: np.random.Generator) -> Iterator[FloatArray]:
    for slope in (0.0, 0.5, 0.8, 1.0):  # white to brown-ish
        yield _coloured(chance, slope, 0.0)
    for _ in range(8):
        yield _coloured(chance, 0.4, 1.5)
    for voices in (3, 4, 5, 6, 8, 10):
        yield _babble(spoken, voices, chance)
    for _ in range(8):
        yield music(chance)
    for _ in range(4):
        yield _clicks(chance)
    for pitch_hz in (50, 60, 120, 233):
        yield _hum(pitch_hz, chance)
    yield from recorded()


def _coloured(chance: np.random.Generator, slope: float, wildness: float) -> FloatArray:
    spectrum = np.fft.rfft(chance.standard_normal(LENGTH))
    place = np.linspace(0, 1, len(spectrum))
    curve = np.interp(place, np.linspace(0, 1, 9), chance.standard_normal(9) * wildness)
    spectrum *= np.exp(curve) / np.arange(1, len(spectrum) + 1) ** slope
    swell = np.interp(
        np.arange(LENGTH), np.linspace(0, LENGTH, 80), chance.standard_normal(80) * wildness / 3
    )
    return np.asarray(np.fft.irfft(spectrum, LENGTH) * np.exp(swell), np.float32)


def _babble(spoken: Sequence[Utterance], voices: int, chance: np.random.Generator) -> FloatArray:
    total = np.zeros(LENGTH, np.float32)
    for _ in range(voices):
        picks = [spoken[i].samples for i in chance.integers(0, len(spoken), 18)]
        voice = np.concatenate(picks)[:LENGTH]
        total[: len(voice)] += voice * np.float32(chance.uniform(0.4, 1))
    return total


def _clicks(chance: np.random.Generator) -> FloatArray:
    total = chance.standard_normal(LENGTH) * 0.003
    for _ in range(int(chance.integers(60, 250))):
        size = int(chance.integers(60, 2500))
        start = int(chance.integers(0, LENGTH - size))
        total[start : start + size] += _hit(chance, size)
    return np.asarray(total, np.float32)


def _hit(chance: np.random.Generator, size: int) -> FloatArray:
    ring = np.sin(2 * np.pi * chance.uniform(200, 5000) * np.arange(size) / RATE_HZ)
    body = chance.standard_normal(size) * 0.6 + ring
    fall = np.exp(-np.arange(size) / max(size / 4, 1))
    return np.asarray(body * fall * chance.uniform(0.2, 1), np.float32)


def _hum(pitch_hz: float, chance: np.random.Generator) -> FloatArray:
    time_s = np.arange(LENGTH) / RATE_HZ
    tone = sum(np.sin(2 * np.pi * pitch_hz * h * time_s + h) / h for h in range(1, 14))
    return np.asarray(tone + 0.05 * chance.standard_normal(LENGTH), np.float32)
