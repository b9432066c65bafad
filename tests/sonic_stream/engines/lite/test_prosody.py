"""What is heard in the voice: phrases, stress, levels; equal for any chunking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_stream.engines.lite.network import CHANNEL, CHANNELS
from sonic_stream.engines.lite.pitch import AHEAD, UNVOICED
from sonic_stream.engines.lite.prosody import FLOOR_DB, Loudness, Prosody, Stress
from tests.sonic_stream.engines.lite.talk import cues_of
from tests.sonic_stream.engines.lite.test_features import sound


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 6000), max_size=12))
def test_any_chunking_gives_the_same_levels(cuts: list[int]) -> None:
    samples = sound(6400)
    whole, chunked = Loudness(), Loudness()
    whole.hear(samples)
    for piece in np.split(samples, sorted(cuts)):
        chunked.hear(piece)
    for _ in range(10 - AHEAD):
        assert whole.next() == chunked.next()


def test_a_window_holds_the_frame_before_this_one_and_those_ahead() -> None:
    loudness = Loudness()
    for amplitude in (0.1, 1.0, 0.01, 0.0):
        loudness.hear(np.full(640, amplitude, np.float32))
    assert np.allclose(loudness.next(), [FLOOR_DB, -20, 0, -40], atol=0.01)
    assert np.allclose(loudness.next(), [-20, 0, -40, FLOOR_DB], atol=0.01)


def test_phrases_begin_and_end_once_and_short_gaps_do_not_count() -> None:
    def voice(*speech: float) -> np.ndarray:
        rows = np.zeros((len(speech), len(CHANNELS)), np.float32)
        rows[:, CHANNEL["speech"]] = speech
        return rows

    rows = voice(*[0] * 5, *[1] * 20, *[0] * 4, *[1] * 10, *[0] * 20)
    prosody = Prosody()
    cues = [prosody.step(row, [FLOOR_DB] * 4, UNVOICED) for row in rows]
    assert [i for i, cue in enumerate(cues) if cue.began] == [5]
    (end,) = [i for i, cue in enumerate(cues) if cue.ended]
    assert 39 + 5 <= end <= 39 + 6
    assert cues[end].phrase_s > 1.4
    assert cues[-1].since_s == (len(rows) - 1 - end) * 0.04 or cues[-1].since_s < 1
    assert not any(cue.stress for cue in cues)


def test_stress_is_told_when_the_syllable_begins_and_is_the_loud_one() -> None:
    cues = cues_of(120)
    stressed = np.array([cue.stress for cue in cues])
    times = np.flatnonzero(stressed)
    per_minute = len(times) / (sum(cue.talking for cue in cues) / 25 / 60)
    assert 30 < per_minute < 110
    assert np.diff(times).min() * 0.04 >= 0.36
    assert all(cues[i].talking or cues[i + 2].talking for i in times)


@pytest.mark.parametrize("voiced", [True, False])
def test_of_syllables_equally_loud_the_high_ones_are_stressed(voiced: bool) -> None:
    stress, told = Stress(), []
    levels = np.tile([-38.0, -21, -20, -22, -28], 60)
    heights = np.tile([UNVOICED, 0.0, 0.2, 0.0, -0.3], 60)
    accented = np.arange(60) % 3 == 1
    heights = heights + np.repeat(4.0 * accented, 5)
    if not voiced:
        heights[:] = UNVOICED
    for frame in range(1, len(levels) - 2):
        window = slice(frame - 1, frame + 3)
        if stress.step(1.0, levels[window].tolist(), heights[window].tolist()):
            told.append((frame + 2) // 5)
    late = [accented[syllable] for syllable in told if syllable > 12]
    assert len(late) > 8 if voiced else True
    assert np.mean(late) > 0.9 if voiced else np.mean(late or [0]) < 0.6


def test_a_phrase_that_ends_high_asks() -> None:
    def asks(ending: list[float]) -> float:
        prosody, row = Prosody(), np.zeros(len(CHANNELS), np.float32)
        heights = [UNVOICED] * 3 + [5.0, 4, 5, 4, 3] * 4 + ending + [UNVOICED] * 12
        found = []
        for height in heights:
            row[CHANNEL["speech"]] = float(height == height)
            found.append(prosody.step(row.copy(), [FLOOR_DB] * 4, height).asks)
        return max(found)

    assert asks([0.0, 0, 1, 2, 4, 6]) > 0.5
    assert asks([3.0, 2, 1, 0, -1, -2]) == 0
    assert asks([3.0, 3, 3, 3, 3, 3]) == 0
