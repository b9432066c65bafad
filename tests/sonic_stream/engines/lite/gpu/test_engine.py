"""Several streams of the engine whose pictures a card draws."""

from __future__ import annotations

import numpy as np
import pytest

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import Engine, Push, StreamOptions, load_engine, push_all, streams_of
from sonic_stream.engines.lite.painter import Picture
from sonic_stream.media import AudioChunk, FrameChunk
from tests.sonic_stream.contract import sound
from tests.sonic_stream.engines.lite.gpu.devices import check_alike, no_card

TURNS = 16


def told(engine: Engine) -> list[list[FrameChunk]]:
    """Three streams in turns of their own lengths; one changes its portrait, one its background,
    one is late for some turns."""
    identities = [engine.prepare(load_avatar(name)) for name in ("mira", "nia", "theo")]
    options = [
        StreamOptions(seed=i + 1, background=b) for i, b in enumerate(("keep", "blur", "none"))
    ]
    streams = [engine.open(*pair) for pair in zip(identities, options, strict=True)]
    sounds = [sound(engine, seed) for seed in range(3)]
    made: list[list[FrameChunk]] = [[], [], []]
    at = [0, 0, 0]
    for turn in range(TURNS):
        if turn == 6:
            streams[0].set_identity(identities[1])
            streams[1].configure(StreamOptions(seed=2, background="#204060"))
        pushes = []
        for i, stream in enumerate(streams):
            count = (640, 320, 1000)[i]
            chunk = AudioChunk(sounds[i][at[i] : at[i] + count], 16000, at[i])
            pushes.append(Push(stream, chunk, render=not (i == 2 and turn in (8, 9))))
            at[i] += count
        for i, chunks in enumerate(push_all(engine, pushes)):
            made[i] += chunks
    return made


def pictures(chunks: list[FrameChunk]) -> list[Picture]:
    return [Picture(chunk.frames[0], chunk.backdrop) for chunk in chunks]


def test_streams_side_by_side_show_what_each_would_on_the_processor(device: str) -> None:
    engine = load_engine("lite", size_px=128, device=device)
    ours, theirs = told(engine), told(load_engine("lite", size_px=128, device="cpu"))
    for one, other in zip(ours, theirs, strict=True):
        assert [chunk.pts for chunk in one] == [chunk.pts for chunk in other]
        check_alike(pictures(one), pictures(other))
    assert len(ours[2]) > TURNS  # turns with several pictures of a stream
    assert set(engine.stage_ms) == {"features", "network", "render"}


def test_a_process_hosts_several_streams() -> None:
    assert streams_of(load_engine("lite", size_px=128, device="torch-cpu")) > 1
    assert streams_of(load_engine("lite", size_px=128, device="torch-cpu", streams=3)) == 3


def test_its_warm_up_draws() -> None:
    engine = load_engine("lite", size_px=128, device="torch-cpu")
    engine.warm_up()
    stream = engine.open(engine.prepare(load_avatar("mira")), StreamOptions())
    silence = np.zeros(engine.spec.latency_samples, np.float32)
    assert stream.push(AudioChunk(silence, 16000, 0))[0].frames.shape == (1, 128, 128, 3)


@pytest.mark.skipif(not no_card(), reason="there is a card")
def test_a_card_that_is_not_there_is_told() -> None:
    engine = load_engine("lite", size_px=128, device="cuda")
    with pytest.raises(ValueError, match="torch sees no CUDA card"):
        engine.warm_up()
