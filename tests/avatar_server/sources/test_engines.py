"""Speech engines by name: an OpenAI-compatible server, and what is told when one is missing.

The servers are real ones on loopback that behave well or badly; edge-tts, which needs the internet,
is stood in for by a module of its shape.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import types
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import av
import numpy as np
import pytest

from avatar_server.errors import ConfigError
from avatar_server.sources.base import SourceError
from avatar_server.sources.speech import EspeakSpeech, Manner, SpeechSource, load_speech
from avatar_server.sources.speech.openai import OpenAISpeech
from tests.avatar_server.sources.contract import RATE_HZ, check_source, heard, tasks

KEY = "sk-very-secret"
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def tone(seconds: float, rate_hz: int = 24_000) -> bytes:
    sound = 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate_hz)) / rate_hz)
    return np.asarray(sound * 32767, "<i2").tobytes()


class Endpoint:
    """An HTTP server with one answer for all requests; it keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.answer: Answer = spoken(tone(0.6))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            self.asked.append((first, headers, body))
            await self.answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def spoken(pcm: bytes, *, cut: bool = False, pause_s: float = 0.0, size: int = 4001) -> Answer:
    """Chunked, in pieces of an odd size; `cut`: the connection ends in the middle of it."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: audio/pcm\r\ntransfer-encoding: chunked\r\n"
            b"connection: close\r\n\r\n"
        )
        for start in range(0, len(pcm), size):
            piece = pcm[start : start + size]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(pause_s)
        if not cut:
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    return answer


def refusal(status: int, body: str, kind: str = "application/json") -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        data = body.encode()
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n"
            "connection: close\r\n\r\n".encode()
            + data
        )
        await writer.drain()

    return answer


async def nothing(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(5)


async def garbage(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff this is no HTTP\r\n\r\n")
    await writer.drain()


@asynccontextmanager
async def serving(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[Endpoint, OpenAISpeech]]:
    monkeypatch.setenv("SPEECH_KEY", KEY)
    endpoint = Endpoint()
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    engine = load_speech(
        "openai",
        {"base_url": f"http://127.0.0.1:{port}/v1/", "model": "small", "voices": ["nova", "onyx"],
         "key_env": "SPEECH_KEY"},
    )  # fmt: skip
    assert isinstance(engine, OpenAISpeech)
    try:
        yield endpoint, engine
    finally:
        await engine.close()
        server.close()


async def test_it_speaks_by_an_openai_compatible_server(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch) as (endpoint, engine):

        async def make() -> SpeechSource:
            return SpeechSource(engine, "One two. Three.", Manner("onyx", 1.25))

        await check_source(make)
        source = await make()
        sound = await heard(source)
        assert len(sound) == 2 * 0.6 * RATE_HZ
        spectrum = np.abs(np.fft.rfft(sound[:24_000]))
        assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=2)
        assert np.abs(sound).max() == pytest.approx(0.3, abs=0.02)
        await source.close()
    first, headers, body = endpoint.asked[0]
    assert first == "POST /v1/audio/speech HTTP/1.1"
    assert headers["authorization"] == f"Bearer {KEY}".lower()
    assert body == {
        "model": "small", "input": "One two.", "voice": "onyx", "response_format": "pcm",
        "speed": 1.25,
    }  # fmt: skip


async def test_the_voice_starts_before_its_sentence_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(monkeypatch) as (endpoint, engine):
        endpoint.answer = spoken(tone(2.0), pause_s=0.05)
        source = SpeechSource(engine, "A long one.")
        source.begin()
        async with asyncio.timeout(5):
            while source.position < 4800:
                source.read(960)
                await asyncio.sleep(0.01)
        assert not source._maker.done()  # type: ignore[union-attr]
        await source.close()


@pytest.mark.parametrize(
    ("answer", "reason", "sounds"),
    [(refusal(401, f'{{"error": "Incorrect API key provided: {KEY}"}}'), "key_env", False),
     (refusal(500, "Internal " * 100), "500: Internal", False),
     (refusal(200, "<html>Log in</html>", "text/html"), "Log in", False),
     (spoken(b""), "without sound", False),
     (spoken(tone(1.0), cut=True), "cannot be used", True),
     (nothing, "too long", False),
     (garbage, "cannot be used", False),
     (spoken(tone(100.0), size=200_000), "does not end", True)],
)  # fmt: skip
async def test_what_goes_wrong_ends_the_speech_with_a_reason(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answer: Answer,
    reason: str,
    sounds: bool,
) -> None:
    monkeypatch.setattr("avatar_server.sources.speech.openai.SILENCE_TIMEOUT_S", 0.5)
    with caplog.at_level(logging.DEBUG):
        async with serving(monkeypatch) as (endpoint, engine):
            endpoint.answer = answer
            source = SpeechSource(engine, "Hello there. And so on.")
            sound = await heard(source)
            await source.close()
            assert source.problem is not None
            assert source.problem.code == "no_voice"
            assert reason in str(source.problem)
            assert KEY not in str(source.problem)
            assert bool(len(sound)) == sounds
    assert KEY not in caplog.text
    assert len(str(source.problem)) < 400
    await asyncio.sleep(0)
    assert {task for task in tasks() if "serve" not in repr(task)} == set()


async def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = OpenAISpeech("http://127.0.0.1:9/v1")
    with pytest.raises(SourceError, match="cannot be used"):
        await anext(engine.synthesize("Hello", Manner()))
    with pytest.raises(SourceError, match="choose one of alloy"):
        engine.check(Manner("nobody"))
    await engine.close()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({}, "base_url"), ({"base_url": "ftp://x"}, "base_url"), ({"colour": 1}, "colour"),
     ({"base_url": "http://x", "voices": []}, "voices"),
     ({"base_url": "http://x", "key_env": "NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE")],
)  # fmt: skip
def test_bad_settings_are_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load_speech("openai", settings)


def test_engines_are_named_or_imported() -> None:
    assert isinstance(load_speech("espeak", {}), EspeakSpeech)
    path = "avatar_server.sources.speech.espeak:EspeakSpeech"
    assert isinstance(load_speech(path, {}), EspeakSpeech)
    for bad in ("festival", "no.such.module:Class", "avatar_server.errors:Nothing"):
        with pytest.raises(ConfigError, match=r"speech\.engine"):
            load_speech(bad, {})


@pytest.mark.parametrize(
    ("name", "module"), [("piper", "piper"), ("kokoro", "kokoro"), ("edge", "edge_tts")]
)
def test_a_missing_package_is_told_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"avatar-server\[{name}\]"):
        load_speech(name, {})


# Adapters, with modules of the packages' shape.


def mp3(seconds: float) -> bytes:
    codec = av.CodecContext.create("libmp3lame", "w")
    codec.sample_rate, codec.format, codec.layout = 24_000, "s16p", "mono"
    samples = np.frombuffer(tone(seconds), "<i2")
    data = b""
    for start in range(0, len(samples) - 575, 576):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 576], "s16p", "mono")
        frame.sample_rate = 24_000
        data += b"".join(bytes(packet) for packet in codec.encode(frame))
    return data + b"".join(bytes(packet) for packet in codec.encode(None))


def stand_in(name: str, **members: object) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(members)
    return module


async def test_edge_is_decoded_and_its_words_are_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, str, str]] = []

    class Problem(Exception):
        pass

    class Communicate:
        def __init__(self, text: str, voice: str, *, rate: str, boundary: str) -> None:
            assert boundary == "WordBoundary"
            said.append((text, voice, rate))

        async def stream(self) -> AsyncIterator[dict[str, Any]]:
            data = mp3(1.0)
            yield {"type": "audio", "data": data[:1000]}
            yield {"type": "WordBoundary", "offset": 1_000_000, "duration": 1, "text": "Hello"}
            if said[-1][0].startswith("Fail"):
                raise Problem("no audio")
            yield {"type": "WordBoundary", "offset": 5_000_000, "duration": 1, "text": "there"}
            for start in range(1000, len(data), 700):
                yield {"type": "audio", "data": data[start : start + 700]}

    exceptions = stand_in("exceptions", EdgeTTSException=Problem)
    module = stand_in("edge_tts", Communicate=Communicate, exceptions=exceptions)
    monkeypatch.setitem(sys.modules, "edge_tts", module)
    monkeypatch.setitem(sys.modules, "aiohttp", stand_in("aiohttp", ClientError=Problem))
    engine = load_speech("edge", {"voices": ["en-GB-SoniaNeural"]})
    pieces = [piece async for piece in engine.synthesize("Hello, there!", Manner(rate=1.2))]
    assert said == [("Hello, there!", "en-GB-SoniaNeural", "+20%")]
    sound = np.concatenate([piece.samples for piece in pieces])
    assert len(sound) == pytest.approx(RATE_HZ, abs=0.1 * RATE_HZ)
    words = [word for piece in pieces for word in piece.words]
    assert [(word.text, word.start) for word in words] == [("Hello,", 4800), ("there!", 24_000)]
    source = SpeechSource(engine, "Fail, Hello.")
    await heard(source)
    assert "no audio" in str(source.problem)
