"""Voice activity: talk is found, noise is not."""

from __future__ import annotations

import numpy as np
import pytest

from avatar_server.sources.vad import VoiceActivity
from tests.avatar_server.sources.contract import RATE_HZ, babble, spoken

TICK = 960


def judged(sound: np.ndarray) -> tuple[np.ndarray, int]:
    """Activity per 10 ms, and the longest talk."""
    activity = VoiceActivity()
    active, longest = [], 0
    for start in range(0, len(sound), TICK):
        active += activity.push(sound[start : start + TICK])
        longest = max(longest, activity.talk_ms)
    return np.array(active), longest


@pytest.fixture
async def speech() -> np.ndarray:
    return await spoken("It is a pleasure to meet you and to talk about the weather")


def after_noise(speech: np.ndarray, noise_rms: float, lead_s: float = 3.0) -> np.ndarray:
    lead = np.zeros(int(lead_s * RATE_HZ), np.float32)
    sound = np.concatenate([lead, speech, lead])
    return sound + babble(len(sound) / RATE_HZ + 1, noise_rms)[: len(sound)]


@pytest.mark.parametrize("noise_rms", [0.0001, 0.003, 0.02])
async def test_speech_is_found_and_the_noise_around_it_is_not(
    speech: np.ndarray, noise_rms: float
) -> None:
    active, longest = judged(after_noise(speech, noise_rms))
    talk = slice(310, 300 + len(speech) // 480 - 60)
    assert active[talk].mean() > 0.9
    assert active[:295].mean() < 0.05
    assert active[-200:].mean() < 0.05
    assert longest >= 120


async def test_talk_is_noticed_within_the_time_that_a_barge_in_has(speech: np.ndarray) -> None:
    activity = VoiceActivity()
    sound = after_noise(speech, 0.003)
    onset = 3 * RATE_HZ + int(np.flatnonzero(np.abs(speech) > 0.05)[0])
    for start in range(0, len(sound), TICK):
        activity.push(sound[start : start + TICK])
        if activity.talk_ms >= 120:
            break
    assert 0.1 < (start + TICK - onset) / RATE_HZ < 0.3


def noises() -> list[tuple[str, np.ndarray]]:
    random = np.random.default_rng(3)
    seconds = 6
    clicks = np.zeros(seconds * RATE_HZ, np.float32)
    for at in range(0, len(clicks) - 480, RATE_HZ // 7):
        clicks[at : at + 480] += 0.5 * random.normal(size=480) * np.linspace(1, 0, 480) ** 3
    hum = 0.1 * np.sin(2 * np.pi * 100 * np.arange(seconds * RATE_HZ) / RATE_HZ)
    return [
        ("silence", np.zeros(seconds * RATE_HZ, np.float32)),
        ("white", (0.05 * random.normal(size=seconds * RATE_HZ)).astype(np.float32)),
        ("café", babble(seconds, 0.05)),
        ("keyboard", clicks.clip(-1, 1)),
        ("hum", hum.astype(np.float32)),
    ]


@pytest.mark.parametrize(("name", "noise"), noises(), ids=[name for name, _ in noises()])
def test_noise_alone_is_not_talk(name: str, noise: np.ndarray) -> None:
    active, longest = judged(noise)
    assert active.mean() < 0.05
    assert longest < 120


def test_the_chunking_changes_nothing() -> None:
    sound = babble(2, 0.05)
    whole, _ = judged(sound)
    activity, pieces = VoiceActivity(), list[bool]()
    for start in range(0, len(sound), 333):
        pieces += activity.push(sound[start : start + 333])
    assert np.array_equal(whole, pieces)
