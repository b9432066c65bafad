"""Alignment: Viterbi finds known boundaries and leaves out pauses that nobody made."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("scipy")

from sonic_stream.training import align
from sonic_stream.training.phones import CLASS_ID, CLASSES, SILENCE

SPOKEN = [name for name in CLASSES if name != "sil"]


def scores_of(runs: list[tuple[str, int]], sureness: float = 5.0) -> np.ndarray:
    """Log probabilities [T, classes] of a recording in which each class lasts so many rows."""
    truth = np.concatenate([np.full(rows, CLASS_ID[name]) for name, rows in runs])
    logits = np.random.default_rng(0).standard_normal((len(truth), len(CLASSES)))
    logits[np.arange(len(truth)), truth] += sureness
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def aligned(words: list[str], runs: list[tuple[str, int]]) -> list[tuple[str, int]]:
    states = align.chain(words)
    path, _ = align.viterbi(scores_of(runs), states)
    parts = align.parts_of(path, states)
    return [(CLASSES[p.phone], round((p.end_s - p.start_s) / align.ROW_S)) for p in parts]


def test_boundaries_are_found_and_an_absent_pause_is_passed_over() -> None:
    runs = [("sil", 9), ("PP", 8), ("aa", 15), ("PP", 7), ("aa", 12), ("sil", 20), ("iy", 9)]
    assert aligned(["pa", "pa", "i"], runs) == runs


@given(
    st.lists(st.tuples(st.sampled_from(SPOKEN), st.integers(3, 20)), min_size=2, max_size=8),
    st.integers(0, 9),
)
def test_all_phones_are_there_in_order(runs: list[tuple[str, int]], pause: int) -> None:
    ipa = {"PP": "p", "aa": "ɑ", "iy": "i", "SS": "s", "uw": "u", "KK": "k"}
    runs = [run for run in runs if run[0] in ipa]
    runs = [
        run for run, last in zip(runs, [None, *runs], strict=False) if not last or run[0] != last[0]
    ]
    if not runs:
        return
    word = "".join(ipa[name] for name, _ in runs)
    found = aligned([word], [("sil", pause)] * (pause > 0) + runs)
    assert [name for name, _ in found if name != "sil"] == [name for name, _ in runs]
    assert sum(rows for _, rows in found) == pause + sum(rows for _, rows in runs)


def test_a_chain_has_pauses_around_its_words() -> None:
    states = align.chain(["a", "b"])
    assert states.names.tolist() == [SILENCE, CLASS_ID["aa"], CLASS_ID["aa"], SILENCE,
                                     CLASS_ID["PP"], CLASS_ID["PP"], SILENCE]  # fmt: skip
    assert states.optional.tolist() == [True, False, False, True, False, False, True]
