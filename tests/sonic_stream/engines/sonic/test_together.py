"""Streams of one engine side by side: the same pictures, in fewer and larger calls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import Push, StreamOptions, push_all, streams_of
from sonic_stream.engines.sonic.engine import SonicEngine
from sonic_stream.engines.sonic.governor import Governor
from sonic_stream.engines.sonic.stream import group_size
from sonic_stream.engines.sonic.unet import Conditions
from sonic_stream.media import AudioChunk, IdentityLatents
from tests.sonic_stream.contract import pictures, run, sound

AVATARS = ("mira", "theo", "nia")
# Batches of another size are summed in another order; a level of 255 may then be truncated.
TOLERANCE = 2
HEARD = 9 * 1280  # samples


@pytest.fixture(scope="module", params=["chunk", "staggered"])
def engine(request: pytest.FixtureRequest) -> SonicEngine:
    settings = {"hop": 1, "context": 1, "overlap": 0, "steps": 2, "mode": request.param}
    return SonicEngine(
        size_px=64, weights="random-reduced", device="cpu", streams=3, refresh=2, **settings
    )


@pytest.fixture(scope="module")
def identities(engine: SonicEngine) -> list[IdentityLatents]:
    return [engine.prepare(load_avatar(name)) for name in AVATARS]


class Batches:
    """The real network; keeps the sizes of its batches, and may run out of memory on large ones."""

    def __init__(self, engine: SonicEngine, most: int = 100) -> None:
        self.unet, self.sizes, self.most = engine.model.unet, [], most

    def __call__(self, latents: Tensor, times: Tensor, conditions: Conditions) -> Tensor:
        if len(latents) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.sizes.append(len(latents))
        return self.unet(latents, times, conditions)


def counted(engine: SonicEngine, most: int = 100) -> tuple[SonicEngine, Batches]:
    """The same engine over the same weights, with its calls counted."""
    batches = Batches(engine, most)
    twin = SonicEngine(size_px=64, streams=3)
    twin.__dict__.update(engine.__dict__)
    twin._model = replace(engine.model, unet=batches)
    return twin, batches


def side_by_side(engine: SonicEngine, identities: list[IdentityLatents]) -> list[np.ndarray]:
    """Each portrait hears a sound of its own, and starts at a time of its own."""
    sounds = [sound(engine, seed)[:HEARD] for seed in range(len(identities))]
    streams = [engine.open(identity, StreamOptions(seed=7)) for identity in identities]
    made: list[list[np.ndarray]] = [[] for _ in identities]
    for at in range(0, len(sounds[0]), 1280):
        live = [i for i in range(len(streams)) if at >= 1280 * i]
        pushes = []
        for i in live:
            start = at - 1280 * i
            pushes.append(
                Push(streams[i], AudioChunk(sounds[i][start : start + 1280], 16000, start))
            )
        for i, chunks in zip(live, push_all(engine, pushes), strict=True):
            made[i] += [chunk.frames for chunk in chunks]
    return [np.concatenate(frames) for frames in made]


def test_side_by_side_is_as_alone(engine: SonicEngine, identities: list[IdentityLatents]) -> None:
    twin, batches = counted(engine)
    together = side_by_side(twin, identities)
    assert max(batches.sizes) == 6  # two streams of three branches: a third goes alone
    for seed, (identity, frames) in enumerate(zip(identities, together, strict=True)):
        alone = pictures(
            run(engine.open(identity, StreamOptions(seed=7)), sound(engine, seed)[:HEARD], [640])
        )
        assert len(frames) >= 8
        assert np.abs(frames.astype(int) - alone[: len(frames)]).max() <= TOLERANCE
    assert np.abs(together[0][:6].astype(int) - together[1][:6]).max() > 50  # portraits differ


def test_when_memory_is_short_streams_go_one_by_one(
    engine: SonicEngine, identities: list[IdentityLatents]
) -> None:
    twin, batches = counted(engine, most=3)
    apart = side_by_side(twin, identities[:2])
    assert twin.economy.name == "one stream at a time"
    assert max(batches.sizes) == 3
    for one, other in zip(apart, side_by_side(engine, identities[:2]), strict=True):
        assert np.abs(one.astype(int) - other).max() <= TOLERANCE


def test_a_stream_that_nobody_watches_is_not_drawn(
    engine: SonicEngine, identities: list[IdentityLatents]
) -> None:
    streams = [engine.open(identity, StreamOptions()) for identity in identities[:2]]
    audio = AudioChunk(np.zeros(engine.spec.latency_samples, np.float32), 16000, 0)
    pushes = [Push(streams[0], audio, render=False), Push(streams[1], audio)]
    assert [len(chunks) for chunks in push_all(engine, pushes)] == [0, 1]


def test_a_stream_that_is_late_takes_fewer_steps(
    engine: SonicEngine, identities: list[IdentityLatents]
) -> None:
    twin, batches = counted(engine)
    twin._governor = Governor(engine.settings.steps)
    stream = twin.open(identities[0], StreamOptions())
    silence = np.zeros(engine.spec.latency_samples + 3 * 1280, np.float32)
    first = AudioChunk(silence, 16000, 0)
    assert len(twin.push_together([Push(stream, first, late=True)])[0]) == 4
    calls = len(batches.sizes)
    more = AudioChunk(silence[:1280], 16000, len(silence))
    assert len(twin.push_together([Push(stream, more)])[0]) == 1
    staggered = engine.settings.mode == "staggered"  # one call a hop, however many levels
    assert len(batches.sizes) - calls == 1
    assert twin.settings.steps == (2 if staggered else 1)


def test_groups_are_powers_of_two(engine: SonicEngine) -> None:
    assert [group_size(count) for count in range(1, 9)] == [1, 2, 2, 4, 4, 4, 4, 8]
    assert streams_of(engine) == 3
    with pytest.raises(ValueError, match=r"streams lies in 1\.\.16"):
        SonicEngine(streams=0)
