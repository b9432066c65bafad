"""A conversation for tests of motion: phrases and pauses, syllables of differing stress."""

from __future__ import annotations

import numpy as np

from sonic_stream.engines.lite.network import CHANNEL, CHANNELS
from sonic_stream.engines.lite.pitch import AHEAD, UNVOICED
from sonic_stream.engines.lite.prosody import FLOOR_DB, FRAME_S, Cues, Prosody
from sonic_stream.media import FloatArray

FPS = 25
SILENT = Cues()


def talk(seconds: float, seed: int = 0) -> tuple[FloatArray, list[list[float]], list[float]]:
    """Channels [frames, 11], each frame's window of levels and the height of the voice that is
    known with it: phrases of 1 to 5 s, pauses of 0.5 to 4 s; syllables of 0.2 s, one in four
    louder and higher than the rest."""
    rng = np.random.default_rng(seed)
    count = int(seconds * FPS)
    channels = np.zeros((count + AHEAD, len(CHANNELS)), np.float32)
    levels = np.full(count + AHEAD + 1, FLOOR_DB)
    heights = np.full(count + AHEAD, UNVOICED)
    at = FPS
    while at < count:
        end = at + int(rng.uniform(1, 5) * FPS)
        while at < min(end, count - 5):
            stressed = rng.random() < 0.25
            levels[at + 1 : at + 6] = [-38, *np.array([-21, -20, -22, -28]) + 8 * stressed]
            heights[at : at + 4] = np.array([0.0, 0.5, 0.0, -0.5]) + 3 * stressed
            channels[at : at + 5, CHANNEL["speech"]] = 1
            channels[at : at + 5, CHANNEL["jaw"]] = [0.1, 0.5, 0.6, 0.4, 0.2]
            channels[at : at + 5, CHANNEL["jaw_loud"]] = channels[at : at + 5, CHANNEL["jaw"]]
            at += 5
        at += int(rng.uniform(0.5, 4) * FPS)
    windows = [levels[f : f + AHEAD + 2].tolist() for f in range(count)]
    return channels[:count], windows, heights[AHEAD:].tolist()


def cues_of(seconds: float, seed: int = 0) -> list[Cues]:
    prosody = Prosody()
    return [prosody.step(*frame) for frame in zip(*talk(seconds, seed), strict=True)]


def rising(values: np.ndarray, level: float) -> np.ndarray:
    """The seconds in which `values` come to `level` from below."""
    return np.flatnonzero((values[1:] >= level) & (values[:-1] < level)) * FRAME_S
