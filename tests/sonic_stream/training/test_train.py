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
from sonic_stream.training.phones import BREATH, CLASS_ID, SILENCE, Segment  # noqa: E402
from sonic_stream.training.synth import Utterance  # noqa: E402

RATE_HZ = synth.RATE_HZ


def vowels_and_pauses(voice: str, seed: int) -> Utterance:
    """Tones say `aa`, silence says nothing: all that a network of a few steps can learn."""
    chance = np.random.default_rng(seed)
    pieces, parts, at_s = [], [], 0.0
    for index in range(8):
        length_s = float(chance.uniform(0.2, 0.5) if index % 2 else chance.uniform(0.7, 1.2))
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
    assert scores["speech"] > 0.4
    assert scores["jaw"] > 0.6
    assert scores["aperture"] > 0.6
    assert MotionNet.load(tmp_path / "lite.safetensors").init_state().hidden.shape == (1, 32)


def test_targets_are_late_by_the_look_ahead() -> None:
    rows = torch.arange(20.0).view(1, 20, 1)
    assert train.aligned(rows)[0, :, 0].tolist() == [0, 0, 0, 0, 1, 3, 5, 7, 9, 11]


def test_crops_without_speech_ask_for_a_still_mouth() -> None:
    torch.manual_seed(3)
    heard = Augment(torch.full((1000, 80), -6.0))(torch.zeros(64, 60, 80))
    assert heard.log_mel.shape == (64, 60, 80)
    assert bool(torch.isfinite(heard.log_mel).all())
    assert 0 < int((~heard.speaks).sum()) < 32
    assert float(heard.share[~heard.speaks].max()) == 0
    assert 0 < float(heard.share[heard.speaks].min()) < float(heard.share.max()) <= 1


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


def test_a_breath_comes_before_the_words_and_is_quieter() -> None:
    source = synth.varied(vowels_and_pauses("flite:slt", 1), 1.0, synth.Silence(1.0))
    made = synth.breathing(source, np.random.default_rng(2))
    assert [p.phone for p in made.parts[:3]] == [SILENCE, BREATH, SILENCE]
    assert made.parts[2].end_s == source.parts[0].end_s
    assert made.parts[3:] == source.parts[1:]
    start, end = (round(t * RATE_HZ) for t in (made.parts[1].start_s, made.parts[1].end_s))
    changed = np.flatnonzero(made.samples != source.samples)
    assert start < changed[0] < changed[-1] < end  # the lips part first
    breath, speech = made.samples[start:end].std(), source.samples.std()
    assert speech / 100 < breath < speech / 4


def test_a_breath_opens_the_mouth_as_far_as_it_is_heard() -> None:
    share = torch.zeros(3, 100)
    share[:, 40:60] = torch.tensor([[0.2], [0.35], [0.9]])
    asked = train.audibility(share)
    assert asked[:, 50].tolist() == pytest.approx([0, 0.5, 1])
    assert asked[2, 35] == 1  # the lips part first
    assert asked[2, 20] == asked[2, 80] == 0


def test_a_vowel_is_held_and_nothing_else_changes() -> None:
    rows = dataset.rows_of(vowels_and_pauses("flite:slt", 1))
    longer = dataset.drawled(rows, random.Random(4))
    more = len(longer.classes) - len(rows.classes)
    assert 0 < more <= 160
    vowels = [int((r.classes == CLASS_ID["aa"]).sum()) for r in (rows, longer)]
    assert vowels[1] - vowels[0] == more
    assert len(np.flatnonzero(np.diff(longer.classes))) == len(
        np.flatnonzero(np.diff(rows.classes))
    )
    silent = replace(rows, classes=np.full_like(rows.classes, SILENCE))
    assert dataset.drawled(silent, random.Random(4)) is silent


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
