"""The trainer on a made-up corpus: it learns, it keeps voices apart, crops are aligned."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")

from sonic_stream.engines.lite.network import CHANNEL, CHANNELS, MotionNet  # noqa: E402
from sonic_stream.training import dataset, noise, synth, texts, train  # noqa: E402
from sonic_stream.training.augment import Augment  # noqa: E402
from sonic_stream.training.evaluate import evaluate, score  # noqa: E402
from sonic_stream.training.phones import CLASS_ID, SILENCE, Segment  # noqa: E402
from sonic_stream.training.synth import Utterance  # noqa: E402

RATE_HZ = synth.RATE_HZ


def vowels_and_pauses(voice: str, seed: int) -> Utterance:
    """Tones say `aa`, silence says nothing: all that a network of a few steps can learn."""
    chance = np.random.default_rng(seed)
    pieces, parts, at_s = [], [], 0.0
    for index in range(8):
        length_s = float(chance.uniform(0.2, 0.5))
        time_s = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
        tone = 0.3 * np.sign(np.sin(2 * np.pi * chance.uniform(90, 200) * time_s))
        pieces.append(tone if index % 2 else np.zeros(len(time_s)))
        parts.append(Segment(at_s, at_s + length_s, CLASS_ID["aa"] if index % 2 else SILENCE))
        at_s += length_s
    return Utterance(np.concatenate(pieces).astype(np.float32), parts, voice)


@pytest.fixture(scope="module", name="corpus")
def small_corpus() -> dataset.Corpus:
    spoken = [vowels_and_pauses("flite:slt", seed) for seed in range(12)]
    return dataset.build([*spoken, vowels_and_pauses("flite:rms", 99)], seed=1)


def test_held_out_voices_are_not_trained_on(corpus: dataset.Corpus) -> None:
    assert set(corpus.held_out) == {"flite:rms"}
    with pytest.raises(ValueError, match="no utterance"):
        dataset.build([vowels_and_pauses("flite:rms", 0)], seed=1)


def test_it_learns_and_writes_usable_weights(corpus: dataset.Corpus, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    noises = torch.full((1000, 80), -12.0)
    settings = train.Settings(steps=50, batch=8, hidden=32)
    net = train.fit(corpus, noises, settings, tmp_path)
    scores = evaluate(net, corpus.held_out, train.LOOK_AHEAD_ROWS)["flite:rms"]
    assert scores["speech"] > 0.4  # its short pauses half count as speech
    assert scores["jaw"] > 0.6
    assert scores["aperture"] > 0.6
    assert MotionNet.load(tmp_path / "lite.safetensors").init_state().hidden.shape == (1, 32)


def test_targets_are_late_by_the_look_ahead() -> None:
    rows = torch.arange(20.0).view(1, 20, 1)
    assert train.aligned(rows)[0, :, 0].tolist() == [0, 0, 0, 0, 1, 3, 5, 7, 9, 11]


def test_crops_without_speech_ask_for_a_still_mouth() -> None:
    torch.manual_seed(3)
    heard, speaks = Augment(torch.full((1000, 80), -6.0))(torch.zeros(64, 60, 80))
    assert heard.shape == (64, 60, 80)
    assert bool(torch.isfinite(heard).all())
    assert 0 < int((~speaks).sum()) < 32


def test_each_kind_of_voice_gets_its_share(corpus: dataset.Corpus) -> None:
    kinds = np.repeat(np.arange(3), 1000).astype(np.int8)
    rows = replace(corpus.train, kinds=np.resize(kinds, len(corpus.train.kinds)))
    picks = dataset.crops(rows, 100, (0.25, 0.5, 0.25)).pick(4000, np.random.default_rng(0))
    shares = np.bincount(rows.kinds[picks], minlength=3) / len(picks)
    assert np.abs(shares - (0.25, 0.5, 0.25)).max() < 0.03
    # Here there is but one kind: it takes all.
    assert dataset.crops(corpus.train, 100, (0.25, 0.5, 0.25)).chances.tolist() == [0, 0, 1]


def test_a_faster_voice_is_shorter_and_its_phones_move_along() -> None:
    source = vowels_and_pauses("flite:slt", 1)
    fast = synth.varied(source, 1.25, synth.Silence(0.1, 0.2))
    assert abs(len(fast.samples) - 0.3 * RATE_HZ - len(source.samples) / 1.25) < 10
    assert fast.parts[0] == Segment(0.0, 0.1, SILENCE)
    assert abs(fast.parts[-1].end_s - 0.1 - source.parts[-1].end_s / 1.25) < 1e-6


def test_score_of_a_perfect_answer_is_one() -> None:
    wanted = np.random.default_rng(0).random((100, len(CHANNELS))).astype(np.float32)
    perfect = score(wanted, wanted)
    assert min(perfect.values()) == pytest.approx(1, abs=1e-5)
    still = score(np.zeros_like(wanted), wanted)
    assert still["jaw"] == 0
    assert set(CHANNEL) <= set(still)


def test_texts_are_reproducible_and_complete() -> None:
    for language in ("en-us", "cmn", "ja", "de", "ru", "fi"):
        first, second = (texts.sentence(language, random.Random(5)) for _ in range(2))
        assert first == second
        assert len(first) > 5
        assert "{" not in first


def test_music_is_sound_of_the_asked_length() -> None:
    tune = noise.music(np.random.default_rng(0), 2)
    assert tune.shape == (2 * RATE_HZ,)
    assert np.isfinite(tune).all()
    assert tune.std() > 0.01
