"""Files and speech as sources, with real decoders and a real voice."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Awaitable, Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avatar_server.sources.base import Source, SourceError
from avatar_server.sources.file import FileSource, probe
from avatar_server.sources.playlist import MAX_QUEUED, Playlist, QueueFull
from avatar_server.sources.speech import EspeakSpeech, SpeechSource
from avatar_server.sources.speech.base import is_chinese, sentences

RATE_HZ = 48_000


def tone(path: Path, seconds: float, codec: str = "pcm_s16le", rate_hz: int = 44_100) -> Path:
    """A 440 Hz tone in any of the formats that we play."""
    samples = 0.4 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate_hz)) / rate_hz)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout="mono")
        resampler = av.AudioResampler(stream.format, "mono", rate_hz)
        frame = av.AudioFrame.from_ndarray(
            (samples * 32767).astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, rate_hz), 0
        size = stream.codec_context.frame_size or len(samples)
        fifo = av.AudioFifo()
        for converted in resampler.resample(frame):
            fifo.write(converted)
        while piece := fifo.read(size, partial=True):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


async def heard(source: Source, limit_s: float = 30.0) -> np.ndarray:
    """All of a source, as a session would read it, but as fast as it comes: ticks for which
    nothing was decoded yet are left out."""
    pieces = []
    async with asyncio.timeout(limit_s):
        while not source.finished:
            piece = source.read(960)
            if piece.any():
                pieces.append(piece)
            await asyncio.sleep(0.001)
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz"),
    [("a.wav", "pcm_s16le", 8_000), ("a.wav", "pcm_s16le", 44_100), ("a.mp3", "libmp3lame", 44_100),
     ("a.ogg", "libopus", 48_000), ("a.flac", "flac", 48_000), ("a.m4a", "aac", 48_000)],
)  # fmt: skip
async def test_every_format_is_heard_whole_and_in_tune(
    tmp_path: Path, name: str, codec: str, rate_hz: int
) -> None:
    path = tone(tmp_path / name, 1.0, codec, rate_hz)
    assert (await probe(path)).duration_s == pytest.approx(1.0, abs=0.08)
    source = await FileSource.open(path)
    sound = await heard(source)
    await source.close()
    sound = sound[np.flatnonzero(np.abs(sound) > 0.05)[0] :]
    assert len(sound) == pytest.approx(RATE_HZ, abs=0.2 * RATE_HZ)
    spectrum = np.abs(np.fft.rfft(sound[4800:43_200]))
    assert np.argmax(spectrum) * RATE_HZ / 38_400 == pytest.approx(440, abs=3)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"\0" * 10_000, b"ID3" + b"\xff" * 3000,
                                  b"RIFF\xff\xff\xff\xffWAVEfmt "])  # fmt: skip
async def test_what_is_no_sound_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(data)
    with pytest.raises(SourceError):
        await probe(path)
    source = await FileSource.open(path)
    await heard(source)
    assert source.finished
    await source.close()


async def test_too_long_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(b"\x80" * 8000 * 601)
    with pytest.raises(SourceError, match="longer than 10 minutes"):
        await probe(path)


async def test_a_long_file_is_not_held_in_memory(tmp_path: Path) -> None:
    source = await FileSource.open(tone(tmp_path / "a.wav", 60.0))
    await asyncio.sleep(1.5)
    assert len(source._queue) < 4 * RATE_HZ
    await source.close()


async def test_closing_midway_leaves_no_process(tmp_path: Path) -> None:
    source = await FileSource.open(tone(tmp_path / "a.wav", 60.0))
    source.read(960)
    await source.close()
    await source.close()
    assert source._process.returncode is not None
    assert source.finished


async def test_a_decoder_that_dies_ends_the_source(tmp_path: Path) -> None:
    source = await FileSource.open(tone(tmp_path / "a.wav", 60.0))
    await asyncio.sleep(0.3)
    source._process.kill()
    await heard(source)
    await source.close()


class Counted:
    """A source of ones, `length` samples long."""

    kind = "file"

    def __init__(self, length: int) -> None:
        self.left, self.closed = length, 0

    def read(self, n: int) -> np.ndarray:
        out = np.zeros(n, np.float32)
        out[: max(self.left, 0)] = 1
        self.left -= n
        return out

    @property
    def finished(self) -> bool:
        return self.left <= 0

    async def close(self) -> None:
        self.closed += 1


async def test_the_queue_plays_in_order_and_closes_what_ended() -> None:
    playlist, sources = Playlist(), [Counted(1920), Counted(960)]
    for source in sources:
        playlist.enqueue(source)
    assert [playlist.read(960).sum() for _ in range(4)] == [960, 960, 960, 0]
    await playlist.clear()
    assert [source.closed for source in sources] == [1, 1]
    assert playlist.kind == "idle"


async def test_the_queue_is_bounded_and_clears_at_once() -> None:
    playlist, sources = Playlist(), [Counted(10**6) for _ in range(MAX_QUEUED + 1)]
    for source in sources[:-1]:
        playlist.enqueue(source)
    with pytest.raises(QueueFull):
        playlist.enqueue(sources[-1])
    await playlist.clear()
    assert playlist.queue_length == 0
    assert not playlist.read(960).any()
    assert all(source.closed == 1 for source in sources)


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


@pytest.fixture
async def voice() -> Callable[[str], Awaitable[np.ndarray]]:
    pytest.importorskip("espeakng_loader", reason="the embedded voice is not installed")
    engine = EspeakSpeech()

    async def say(text: str) -> np.ndarray:
        try:
            return await heard(SpeechSource(engine, text, None))
        finally:
            await engine.close()

    return say


@pytest.mark.parametrize(
    ("text", "least_s", "most_s"),
    [("Hello, it is a pleasure to meet you.", 1.2, 4.5), ("你好，很高兴认识你。", 1.0, 4.5),
     ("I say 你好 to you.", 0.8, 4.5), ("<speak>&amp; \x00 ☃🙂", 0.1, 6.0)],
)  # fmt: skip
async def test_text_becomes_speech_of_a_sensible_length_and_level(
    voice: Callable[[str], Awaitable[np.ndarray]], text: str, least_s: float, most_s: float
) -> None:
    sound = await voice(text)
    loud = np.abs(sound) > 0.01
    spoken = np.flatnonzero(loud)  # what was read before the voice began was waiting
    assert least_s < (spoken[-1] - spoken[0]) / RATE_HZ < most_s
    assert np.abs(sound).max() < 0.9
    assert 0.03 < np.sqrt(np.mean(np.square(sound[loud]))) < 0.25


async def test_an_abandoned_utterance_does_not_spoil_the_next() -> None:
    pytest.importorskip("espeakng_loader", reason="the embedded voice is not installed")
    engine = EspeakSpeech()
    first = SpeechSource(engine, "This is a rather long sentence. " * 30, None)
    await asyncio.sleep(0.5)
    await first.close()
    process = engine._process
    sound = await heard(SpeechSource(engine, "Yes.", None))
    assert len(sound) < 3 * RATE_HZ
    assert engine._process is not process
    await engine.close()
    assert engine._process is None


async def test_unknown_voices_and_long_texts_are_refused() -> None:
    pytest.importorskip("espeakng_loader", reason="the embedded voice is not installed")
    engine = EspeakSpeech()
    with pytest.raises(SourceError, match="en-female"):
        await anext(engine.synthesize("Hello", "nobody"))
    with pytest.raises(SourceError, match="2000"):
        await anext(engine.synthesize("x" * 2001, None))
    await engine.close()
