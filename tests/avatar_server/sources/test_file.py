"""Files as sources, with the real decoder."""

from __future__ import annotations

import asyncio
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avatar_server.sources.base import SourceError
from avatar_server.sources.file import BUFFER_S, FileSource, probe
from tests.avatar_server.sources.contract import RATE_HZ, check_source, heard, tasks


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
    source = FileSource(path)
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
    source = FileSource(path)
    assert not len(await heard(source))
    assert source.problem is not None
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


async def test_a_file_is_a_source(tmp_path: Path) -> None:
    path = tone(tmp_path / "a.wav", 1.0)

    async def make() -> FileSource:
        return FileSource(path)

    await check_source(make)


async def test_a_long_file_is_not_held_in_memory(tmp_path: Path) -> None:
    source = FileSource(tone(tmp_path / "a.wav", 60.0))
    source.begin()
    await asyncio.sleep(1.5)
    assert len(source._queue) < (BUFFER_S + 2) * RATE_HZ
    await source.close()
    assert not tasks()


async def test_a_decoder_that_dies_ends_the_source_with_a_reason(tmp_path: Path) -> None:
    path = tone(tmp_path / "a.wav", 1.0)
    source = FileSource(path)
    path.write_bytes(b"RIFF")
    await heard(source)
    assert source.problem is not None
    assert "no sound file" in str(source.problem)
    await source.close()
