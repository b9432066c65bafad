"""Text as a source: the embedded voice, sentences, words, captions and interruptions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_server.captions import Cue
from avatar_server.sources.base import SourceError
from avatar_server.sources.speech import EspeakSpeech, Manner, Piece, SpeechSource, Voice, Word
from avatar_server.sources.speech.base import (
    MAX_SENTENCE,
    is_chinese,
    sentences,
    timed_words,
    tokens,
)
from tests.avatar_server.sources.contract import RATE_HZ, check_source, heard, tasks


def test_texts_are_cut_where_a_voice_pauses() -> None:
    assert sentences("Hello there. How are you?\nFine!") == [
        "Hello there.",
        "How are you?",
        "Fine!",
    ]
    assert sentences("你好。今天怎么样？") == ["你好。", "今天怎么样？"]
    assert sentences(" \x00\x07 ") == []
    assert is_chinese("OK 你好")
    assert not is_chinese("naïve café")


@given(st.text(st.sampled_from("ab ,.，。你 \n"), max_size=2000))
def test_no_sentence_is_too_long_and_nothing_is_lost(text: str) -> None:
    parts = sentences(text)
    assert all(0 < len(part) <= MAX_SENTENCE for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_a_long_sentence_is_cut_at_a_comma() -> None:
    first, second = sentences("word " * 40 + "comma, " + "word " * 40)
    assert first.endswith("comma,")
    assert second.startswith("word")


@given(
    st.text(st.sampled_from("ab ,你好。"), max_size=80),
    st.lists(st.integers(0, 200_000)),
    st.integers(1, 100_000),
)
def test_words_cover_their_sentence_in_order(text: str, starts: list[int], length: int) -> None:
    places = [match.end() for match in tokens(text)]
    measured = [Word("", start, until) for start, until in zip(starts, places, strict=False)]
    words = timed_words(text, measured, length)
    assert [word.until for word in words] == places
    times = [word.start for word in words]
    assert times == sorted(times)
    assert all(0 <= time <= max([length, *starts]) for time in times)


def test_measured_words_are_kept_and_the_others_lie_between() -> None:
    words = timed_words("one two three", [Word("three", 30_000, 13)], 48_000)
    assert [word.text for word in words] == ["one", "two", "three"]
    assert words[0].start == 0
    assert words[2].start == 30_000
    assert 10_000 < words[1].start < 20_000


class Scripted:
    """An engine of which the test decides what it gives: half a second for each sentence, a word
    at its middle; fails at a sentence that contains "fail"."""

    def voices(self) -> list[Voice]:
        return [Voice("one", "One", "en")]

    def check(self, manner: Manner) -> None:
        pass

    async def synthesize(self, sentence: str, manner: Manner) -> AsyncGenerator[Piece]:
        yield Piece(np.full(12_000, 0.5, np.float32))
        if "fail" in sentence:
            raise SourceError("the voice broke", "no_voice")
        word = list(tokens(sentence))[-1]
        yield Piece(np.full(12_000, 0.5, np.float32), (Word(word[0], 12_000, word.end()),))

    async def close(self) -> None:
        pass


def speaking(
    text: str, engine: Scripted | EspeakSpeech | None = None
) -> tuple[SpeechSource, list[Cue]]:
    cues: list[Cue] = []
    return SpeechSource(engine or Scripted(), text, Manner(), cues.append), cues


async def test_speech_is_a_source() -> None:
    async def make() -> SpeechSource:
        return speaking("One two. Three four.")[0]

    await check_source(make)


async def test_captions_come_as_they_are_heard_with_measured_words() -> None:
    source, cues = speaking("One two. Three four.")
    await heard(source)
    assert not cues, "nothing was heard yet"
    source.heard(960, 100_960)
    (cue,) = cues
    assert (cue.text, cue.start_pts, cue.end_pts) == ("One two.", 100_000, 124_000)
    assert [(word.text, word.start_pts, word.end_pts) for word in cue.words] == [
        ("One", 100_000, 112_000),
        ("two.", 112_000, 124_000),
    ]
    source.heard(12_000, 112_000)
    assert len(cues) == 1, "nothing new, nothing told"
    source.heard(24_000, 124_000)
    assert cues[1:] == [replace(cue, final=True)], "it is over"
    source.heard(24_960, 130_000)
    assert cues[2].start_pts == 129_040, "the second was late by 5040 samples"


async def test_a_caption_is_estimated_until_its_end_is_known() -> None:
    gate = asyncio.Event()

    class Slow(Scripted):
        async def synthesize(self, sentence: str, manner: Manner) -> AsyncGenerator[Piece]:
            async for piece in super().synthesize(sentence, manner):
                yield piece
                await gate.wait()

    source, cues = speaking("A short one.", Slow())
    source.begin()
    await asyncio.sleep(0.01)
    source.read(960)
    source.heard(960, 960)
    estimate = cues[0].end_pts
    gate.set()
    await heard(source)
    source.heard(1920, 1920)
    assert (cues[1].start_pts, cues[1].end_pts) == (0, 24_000)
    assert estimate != 24_000


async def test_an_interruption_tells_the_last_word_and_what_remains() -> None:
    source, cues = speaking("One two. Three four. Five.")
    await heard(source)
    played = source.interrupt(24_000 + 13_000, 50_000)
    assert (played.seconds, played.last_word) == (pytest.approx(0.771), "four.")
    assert played.remaining_text == "Five."
    assert cues[-1].text == "Three four."
    assert cues[-1].end_pts == 50_000
    assert cues[-1].final
    assert [word.text for word in cues[-1].words] == ["Three", "four."]


async def test_an_interruption_before_the_first_word_leaves_all_of_it() -> None:
    source, cues = speaking("One two. Three.")
    played = source.interrupt(0, 0)
    assert (played.last_word, played.remaining_text) == (None, "One two. Three.")
    assert not cues
    await source.close()


async def test_a_failure_ends_the_speech_with_a_reason() -> None:
    source, _ = speaking("One two. This will fail. Never said.")
    assert len(await heard(source)) == 36_000
    assert source.problem is not None
    assert source.problem.code == "no_voice"


# The embedded voice.


@pytest.fixture
async def espeak() -> AsyncIterator[EspeakSpeech]:
    pytest.importorskip("espeakng_loader", reason="the embedded voice is not installed")
    engine = EspeakSpeech()
    yield engine
    await engine.close()
    assert not tasks()


@pytest.mark.parametrize(
    ("text", "least_s", "most_s"),
    [("Hello, it is a pleasure to meet you.", 1.2, 4.5), ("你好，很高兴认识你。", 1.0, 4.5),
     ("I say 你好 to you.", 0.8, 4.5), ("<speak>&amp; \x00 ☃🙂", 0.1, 6.0)],
)  # fmt: skip
async def test_text_becomes_speech_of_a_sensible_length_and_level(
    espeak: EspeakSpeech, text: str, least_s: float, most_s: float
) -> None:
    sound = await heard(speaking(text, espeak)[0])
    loud = np.abs(sound) > 0.01
    spoken = np.flatnonzero(loud)
    assert least_s < (spoken[-1] - spoken[0]) / RATE_HZ < most_s
    assert np.abs(sound).max() < 0.9
    assert 0.03 < np.sqrt(np.mean(np.square(sound[loud]))) < 0.25


async def test_espeak_tells_when_its_words_begin(espeak: EspeakSpeech) -> None:
    source, cues = speaking("One, two, three. Four!", espeak)
    sound = await heard(source)
    source.heard(len(sound), len(sound))
    cues = [cue for cue in cues if cue.final]
    words = [word for cue in cues for word in cue.words]
    assert [word.text for word in words] == ["One,", "two,", "three.", "Four!"]
    for word in words:
        begin = sound[word.start_pts : word.start_pts + RATE_HZ // 4]
        assert np.abs(begin).max() > 0.05, f"nothing is said at {word}"
    assert cues[0].end_pts == pytest.approx(cues[1].start_pts, abs=1)


async def test_the_rate_changes_the_length(espeak: EspeakSpeech) -> None:
    lengths = [
        len(await heard(SpeechSource(espeak, "It is a pleasure to meet you.", Manner(rate=rate))))
        for rate in (0.7, 1.0, 1.6)
    ]
    assert lengths[0] > 1.2 * lengths[1] > 1.2 * 1.2 * lengths[2]


async def test_an_abandoned_utterance_does_not_spoil_the_next(espeak: EspeakSpeech) -> None:
    first = SpeechSource(espeak, "This is a rather long sentence. " * 100)
    first.begin()
    await asyncio.sleep(0.5)
    await first.close()
    sound = await heard(SpeechSource(espeak, "Yes."))
    assert 0.2 * RATE_HZ < len(sound) < 3 * RATE_HZ


async def test_a_long_text_begins_at_once_and_is_not_held_in_memory(espeak: EspeakSpeech) -> None:
    source = SpeechSource(espeak, "This is a sentence of a very long story. " * 400)
    source.begin()
    async with asyncio.timeout(5):
        while source.position == 0:
            source.read(960)
            await asyncio.sleep(0.005)
    await asyncio.sleep(1.0)
    assert len(source._queue) < 40 * RATE_HZ
    await source.close()


def test_unknown_voices_are_refused() -> None:
    pytest.importorskip("espeakng_loader", reason="the embedded voice is not installed")
    with pytest.raises(SourceError, match="en-female"):
        EspeakSpeech().check(Manner("nobody"))
