"""Targets: a closure wins over its neighbours, silence is rest, times share out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sonic_stream.engines.lite.network import CHANNEL, CHANNELS
from sonic_stream.media import FloatArray
from sonic_stream.training import phones
from sonic_stream.training.phones import CLASS_ID, CLASSES, Segment

RATE_HZ = 16_000


def word(*names: str, each_s: float = 0.1) -> list[Segment]:
    return [Segment(i * each_s, (i + 1) * each_s, CLASS_ID[name]) for i, name in enumerate(names)]


def test_a_closure_wins_over_the_vowels_around_it() -> None:
    rows = phones.blend(word("aa", "PP", "aa"), 30)
    assert rows[13, CHANNEL["close"]] > 0.95 > 0.2 > rows[1, CHANNEL["close"]]
    assert rows[13, CHANNEL["jaw"]] < 0.6 < 0.8 < rows[1, CHANNEL["jaw"]]


def test_rounding_begins_before_its_vowel() -> None:
    rows = phones.blend(word("sil", "SS", "uw"), 30)
    before = rows[10:20, CHANNEL["round"]]
    assert np.all(np.diff(before) > 0)
    assert before[-1] > 0.4


def test_lips_open_by_the_vowel_and_shut_for_labials() -> None:
    rows = phones.blend(word("aa", "PP", "uw", "SS", "iy", each_s=0.15), 75)
    opening = rows[6::15, CHANNEL["aperture"]]  # the middle of each, lips being ahead of the sound
    assert opening[0] > 0.75 > opening[4] > opening[2] > 0.1 > opening[1]
    assert opening[3] > opening[2]  # teeth show through an s
    # A consonant without lips of its own follows its vowels.
    between = {v: phones.blend(word(v, "DD", v), 30)[15, CHANNEL["aperture"]] for v in ("aa", "uw")}
    assert between["aa"] > 2 * between["uw"]


def test_quiet_vowels_open_less() -> None:
    parts = word("aa", "aa")
    samples = np.full(3200, 0.3, np.float32)
    samples[1600:] *= 0.1
    channels, classes = phones.targets(samples, parts, 20, RATE_HZ)
    assert channels.shape == (20, len(CHANNELS))
    for opening in ("jaw_loud", "aperture"):
        assert channels[15, CHANNEL[opening]] < 0.75 * channels[5, CHANNEL[opening]]
    assert abs(channels[15, CHANNEL["jaw"]] - channels[5, CHANNEL["jaw"]]) < 0.05
    assert set(classes) == {CLASS_ID["aa"]}


def test_silence_rests() -> None:
    channels, _ = phones.targets(np.zeros(3200, np.float32), word("sil", "sil"), 20, RATE_HZ)
    assert np.abs(channels).max() < 1e-3


def test_lips_part_before_the_first_sound_and_are_shut_before_a_first_labial() -> None:
    silence = np.zeros(int(0.8 * RATE_HZ), np.float32)
    pause = Segment(0.0, 0.6, CLASS_ID["sil"])

    def opening(first: str) -> FloatArray:
        parts = [pause, Segment(0.6, 0.8, CLASS_ID[first])]
        return phones.targets(silence, parts, 80, RATE_HZ)[0][:, CHANNEL["aperture"]]

    assert opening("SS")[25] == 0
    assert opening("SS")[50] > 0.15
    assert opening("PP")[42] > 0.1 > 0.02 > opening("PP")[55]


def test_breathing_in_opens_the_mouth() -> None:
    parts = [Segment(0, 0.3, CLASS_ID["sil"]), Segment(0.3, 0.7, CLASS_ID["air"])]
    parts.append(Segment(0.7, 1.5, CLASS_ID["sil"]))
    channels, _ = phones.targets(np.zeros(24000, np.float32), parts, 150, RATE_HZ)
    assert channels[50, CHANNEL["aperture"]] > 0.3
    assert max(channels[25, CHANNEL["aperture"]], channels[90, CHANNEL["aperture"]]) == 0


@given(st.lists(st.sampled_from(CLASSES), min_size=1, max_size=12), st.floats(0.01, 0.3))
def test_targets_stay_within_bounds(names: list[str], each_s: float) -> None:
    rows = phones.blend(word(*names, each_s=each_s), 100)
    assert rows.min() >= 0
    assert rows.max() <= 1


def test_phones_of_both_alphabets() -> None:
    assert phones.arpabet("AY1") == ["aa", "ih"]
    assert phones.arpabet("pau") == ["sil"]
    assert phones.ipa("tʃ") == ["DD", "SH"]
    assert phones.ipa("ˈuː") == ["uw"]
    assert phones.ipa("ˈ") == []


def test_the_classes_of_a_phone_share_its_time() -> None:
    first, second = phones.segments(1.0, 1.2, ["DD", "SH"])
    assert (first.start_s, second.end_s) == (1.0, 1.2)
    assert first.end_s == second.start_s
    assert abs(first.end_s - 1.1) < 1e-9
