"""What is heard in the voice: phrases, stress, levels; equal for any chunking."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sonic_stream.engines.lite.network import CHANNEL, CHANNELS
from sonic_stream.engines.lite.prosody import AHEAD, FLOOR_DB, Loudness, Prosody
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
    cues = [prosody.step(row, [FLOOR_DB] * 4) for row in rows]
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
