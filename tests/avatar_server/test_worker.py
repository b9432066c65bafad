"""The worker process, its wire and its encoders, for real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_server.clock import MonotonicClock
from avatar_server.errors import WorkerFailed
from avatar_server.worker.capacity import babble
from avatar_server.worker.child import EngineRequest
from avatar_server.worker.encoders import open_encoder
from avatar_server.worker.pool import (
    StreamRequest,
    WorkerError,
    WorkerPool,
    WorkerRestarted,
    WorkerStats,
    WorkerStream,
)
from avatar_server.worker.process import WIRE_RATE_HZ
from avatar_server.worker.wire import Decoder, WireError, WireMessage, encode
from sonic_stream.avatars import load_avatar
from sonic_stream.engine import StreamOptions, load_engine
from sonic_stream.engines.testcard import is_flash, read_pts
from sonic_stream.media import IdentityLatents, MediaPacket
from sonic_stream.resample import Decimator

MESSAGES = st.builds(
    WireMessage,
    st.text(max_size=20),
    st.dictionaries(st.text(min_size=1).filter(lambda k: k != "kind"), st.integers(), max_size=4),
    st.binary(max_size=500),
)


@given(st.lists(MESSAGES, max_size=6), st.integers(1, 300))
def test_messages_survive_any_cutting(messages: list[WireMessage], size: int) -> None:
    stream = b"".join(encode(message) for message in messages)
    decoder, got = Decoder(), []
    for at in range(0, len(stream), size):
        got += decoder.feed(stream[at : at + size])
    assert got == messages


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 12,
        b"\x10\0\0\0\xff\0\0\0" + b"x" * 12,
        b"\x06\0\0\0\x02\0\0\0{}",
        b"\x06\0\0\0\x02\0\0\0[]",
    ],
)
def test_nonsense_on_the_wire_is_an_error(data: bytes) -> None:
    with pytest.raises(WireError):
        list(Decoder().feed(data))


@given(st.lists(st.integers(1, 900), min_size=1, max_size=12))
def test_decimation_is_the_same_for_any_cutting(sizes: list[int]) -> None:
    samples = np.random.default_rng(1).standard_normal(sum(sizes)).astype(np.float32)
    decimator, at, pieces = Decimator(), 0, []
    for size in sizes:
        pieces.append(decimator.push(samples[at : at + size]))
        at += size
    whole = Decimator().push(samples)
    assert len(whole) == len(samples) // 3
    assert np.array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize(
    ("hz", "low_db", "high_db"),
    [(300, -0.5, 0.5), (6000, -1.5, 0.5), (10_500, -200, -40), (20_000, -200, -50)],
)
def test_decimation_keeps_speech_and_stops_what_would_alias(
    hz: float, low_db: float, high_db: float
) -> None:
    tone = np.sin(2 * np.pi * hz * np.arange(48_000) / 48_000).astype(np.float32)
    out = Decimator().push(tone)[200:]
    gain_db = 20 * np.log10(np.sqrt(2 * np.mean(np.square(out))) + 1e-12)
    assert low_db < gain_db < high_db


def test_key_frames_come_when_asked_for() -> None:
    for codec in ("vp8", "h264"):
        encoder = open_encoder(codec, 128, Fraction(25), 300_000)
        rng = np.random.default_rng(0)
        packets = [
            encoder.encode(rng.integers(0, 255, (128, 128, 3), np.uint8), i, keyframe=i == 7)
            for i in range(10)
        ]
        assert [i for i, p in enumerate(packets) if p is not None and p.keyframe] == [0, 7]
    with pytest.raises(ValueError, match="no encoder"):
        open_encoder("av1", 128, Fraction(25), 300_000)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("identity") / "testcard.safetensors"
    load_engine("testcard", size_px=128).prepare(load_avatar("mira")).save(path)
    return path


@asynccontextmanager
async def running(identity: Path, spare: int = 1) -> AsyncIterator[tuple[WorkerPool, WorkerStream]]:
    pool = WorkerPool(EngineRequest("testcard", 128), MonotonicClock(), spare=spare)
    await pool.start()
    request = StreamRequest(identity, StreamOptions())
    stream = await pool.open(request)
    try:
        yield pool, stream
    finally:
        await stream.close()
        await pool.close()


def tick(stream: WorkerStream, number: int) -> None:
    stream.push_audio(np.zeros(960, np.int16), number * 960, 0)


async def collected(stream: WorkerStream, count: int) -> list[MediaPacket]:
    """The next packets; other events are passed over."""
    packets: list[MediaPacket] = []
    async with asyncio.timeout(20):
        async for event in stream.events():
            if isinstance(event, MediaPacket):
                packets.append(event)
            if len(packets) == count:
                break
    return packets


def decoded(packets: list[MediaPacket]) -> list[int | None]:
    context = av.CodecContext.create("libvpx", "r")
    frames = [f for packet in packets for f in context.decode(av.Packet(packet.data))]
    return [read_pts(frame.to_ndarray(format="rgb24")) for frame in frames]


async def test_sound_in_numbered_pictures_out(identity: Path) -> None:
    async with running(identity) as (_, stream):
        stream.set_codecs(frozenset({"vp8"}))
        for number in range(40):
            tick(stream, number)
            await asyncio.sleep(0.02)
        packets = await collected(stream, 18)
        assert packets[0].keyframe
        assert [p.pts for p in packets] == list(range(18))
        assert decoded(packets) == list(range(18))


async def test_a_worker_that_is_late_drops_pictures_but_keeps_its_place(identity: Path) -> None:
    async with running(identity) as (_, stream):
        stream.set_codecs(frozenset({"vp8"}))
        for number in range(60):  # more than a second at once: it cannot but be late
            tick(stream, number)
        for number in range(60, 120):
            tick(stream, number)
            await asyncio.sleep(0.02)
        dropped, packets = 0, []
        async with asyncio.timeout(20):
            async for event in stream.events():
                if isinstance(event, WorkerStats):
                    dropped = event.dropped
                if isinstance(event, MediaPacket):
                    packets.append(event)
                    if event.pts >= 56:
                        break
        assert decoded(packets) == [packet.pts for packet in packets]
        assert len(packets) < 50
        assert packets[-1].pts == 56
        assert dropped > 0


async def test_a_dead_worker_is_replaced_and_numbers_go_on(identity: Path) -> None:
    async with running(identity) as (_, stream):
        stream.set_codecs(frozenset({"vp8"}))
        number, before, after, restarts = 0, [], [], 0

        async def speak() -> None:
            nonlocal number
            while True:
                tick(stream, number)
                number += 1
                await asyncio.sleep(0.01)

        speaker = asyncio.create_task(speak())
        try:
            async with asyncio.timeout(20):
                async for event in stream.events():
                    if isinstance(event, WorkerRestarted):
                        restarts += 1
                    elif isinstance(event, MediaPacket):
                        (after if restarts else before).append(event)
                        if len(before) == 10 and not restarts and stream._place is not None:
                            stream._place.worker.process.kill()
                        if len(after) == 10:
                            break
        finally:
            speaker.cancel()
            await asyncio.gather(speaker, return_exceptions=True)
        assert restarts == 1
        assert after[0].keyframe
        assert after[0].pts > before[-1].pts
        assert decoded(after) == [packet.pts for packet in after]


async def test_a_worker_ends_with_its_server(identity: Path) -> None:
    async with running(identity) as (_, stream):
        assert stream._place is not None
        worker = stream._place.worker
        worker._writer.transport.abort()
        assert await asyncio.wait_for(worker.process.wait(), 5) == 0


async def test_an_engine_that_does_not_load_is_an_error() -> None:
    pool = WorkerPool(EngineRequest("nothing", 128), MonotonicClock())
    with pytest.raises(WorkerFailed, match=r"no engine 'nothing' \(known: lite, sonic, testcard"):
        await pool.start()
    await pool.close()


async def test_a_setting_that_the_engine_does_not_know_is_an_error() -> None:
    pool = WorkerPool(EngineRequest("lite", 128, {"steps": 4}), MonotonicClock())
    with pytest.raises(WorkerFailed, match="steps"):
        await pool.start()
    await pool.close()


async def test_a_card_that_is_not_there_is_an_error_with_advice() -> None:
    pytest.importorskip("torch")
    pool = WorkerPool(EngineRequest("lite", 128, {"device": "cuda:64"}), MonotonicClock())
    with pytest.raises(WorkerFailed, match=r"set device = 'cpu'|cards are numbered"):
        await pool.start()
    await pool.close()


async def test_there_are_never_more_workers_than_the_limit(identity: Path) -> None:
    pool = WorkerPool(EngineRequest("testcard", 128), MonotonicClock(), spare=1, limit=1)
    await pool.start()
    stream = await pool.open(StreamRequest(identity, StreamOptions()))
    assert pool._free() == 0  # the one place is taken
    await stream.close()
    assert pool._free() == 1
    await pool.close()


async def test_every_stream_lives_a_life_of_its_own(identity: Path) -> None:
    pool = WorkerPool(EngineRequest("testcard", 128), MonotonicClock(), spare=1)
    first, second, third = [
        await pool.open(StreamRequest(identity, StreamOptions(seed=seed))) for seed in (0, 0, 77)
    ]
    first.set_options(StreamOptions(motion_scale=0.5))
    seeds = [stream._request.options.seed for stream in (first, second, third)]
    assert len(set(seeds)) == 3
    assert 0 not in seeds
    assert seeds[2] == 77
    assert first._request.options.motion_scale == 0.5
    for stream in (first, second, third):
        await stream.close()
    await pool.close()


@asynccontextmanager
async def sharing(
    identity: Path, places: int, streams: int, engine: str = "testcard", **settings: str
) -> AsyncIterator[list[WorkerStream]]:
    """Streams of an engine that hosts several in a process."""
    request = EngineRequest(engine, 128, {"streams": places, **settings})
    pool = WorkerPool(request, MonotonicClock(), limit=streams)
    await pool.start()
    opened = [await pool.open(StreamRequest(identity, StreamOptions())) for _ in range(streams)]
    try:
        for stream in opened:
            stream.set_codecs(frozenset({"vp8"}))
        yield opened
    finally:
        for stream in opened:
            await stream.close()
        await pool.close()


def pids(streams: list[WorkerStream]) -> list[int]:
    return [s._place.worker.process.pid for s in streams if s._place is not None]


async def test_streams_share_as_few_processes_as_the_engine_allows(identity: Path) -> None:
    async with sharing(identity, places=2, streams=3) as streams:
        first, second, third = pids(streams)
        assert first == second != third
        for number in range(40):
            for stream in streams[: 3 if number % 2 else 2]:  # the third has half the sound
                tick(stream, number if stream is not streams[2] else number // 2)
            await asyncio.sleep(0.02)
        made = await asyncio.gather(*(collected(stream, 8) for stream in streams))
        for packets in made:
            assert decoded(packets) == [packet.pts for packet in packets] == list(range(8))


async def test_streams_drawn_in_one_batch_come_out_apart(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "lite.safetensors"
    load_engine("lite", size_px=128, device="cpu").prepare(load_avatar("mira")).save(path)
    async with sharing(path, 2, 2, "lite", device="torch-cpu") as streams:
        assert len(set(pids(streams))) == 1
        for number in range(24):
            for stream in streams:
                tick(stream, number)
            await asyncio.sleep(0.02)
        for packets in await asyncio.gather(*(collected(stream, 3) for stream in streams)):
            assert packets[0].keyframe
            assert [p.pts for p in packets] == sorted({p.pts for p in packets})


async def test_a_place_is_free_again_while_its_neighbour_goes_on(identity: Path) -> None:
    async with sharing(identity, places=2, streams=2) as streams:
        left, stays = streams
        pid, pool = pids([stays])[0], stays._pool
        await left.close()
        assert stays._place is not None
        assert stays._place.worker.process.returncode is None
        for number in range(30):
            tick(stays, number)
            await asyncio.sleep(0.02)
        assert len(await collected(stays, 8)) == 8
        again = await pool.open(StreamRequest(identity, StreamOptions()))
        assert pids([again]) == [pid]
        await again.close()


async def test_when_a_shared_worker_dies_all_its_streams_go_on_in_another(identity: Path) -> None:
    async with sharing(identity, places=2, streams=2) as streams:
        old, number = pids(streams)[0], 0

        async def speak() -> None:
            nonlocal number
            while True:
                for stream in streams:
                    tick(stream, number)
                number += 1
                await asyncio.sleep(0.01)

        async def watch(stream: WorkerStream) -> tuple[int, list[MediaPacket]]:
            restarts, after = 0, []
            async with asyncio.timeout(20):
                async for event in stream.events():
                    restarts += isinstance(event, WorkerRestarted)
                    if isinstance(event, MediaPacket):
                        if not restarts and event.pts == 5 and stream is streams[0]:
                            stream._place.worker.process.kill()  # type: ignore[union-attr]
                        after += [event] * bool(restarts)
                        if len(after) == 8:
                            break
            return restarts, after

        speaker = asyncio.create_task(speak())
        try:
            outcomes = await asyncio.gather(*(watch(stream) for stream in streams))
        finally:
            speaker.cancel()
            await asyncio.gather(speaker, return_exceptions=True)
        new = pids(streams)
        assert new[0] == new[1] != old
        for restarts, after in outcomes:
            assert restarts == 1
            assert after[0].keyframe
            assert decoded(after) == [packet.pts for packet in after]


async def test_streams_go_where_the_fewest_are(identity: Path) -> None:
    async with sharing(identity, places=3, streams=5) as streams:
        first = pids(streams)
        assert [first.count(pid) for pid in dict.fromkeys(first)] == [3, 2]
        full, pool = first[0], streams[0]._pool
        for stream in streams[:2]:
            await stream.close()
        again = await pool.open(StreamRequest(identity, StreamOptions()))
        assert pids([again]) == [full]  # one against two
        await again.close()


async def talk(streams: list[WorkerStream]) -> None:
    """Something like a voice into each, for ever."""
    voice = (32767 * babble(WIRE_RATE_HZ, WIRE_RATE_HZ)).astype(np.int16).reshape(-1, 960)
    number = 0
    while True:
        for stream in streams:
            stream.push_audio(voice[number % len(voice)], number * 960, 0)
        number += 1
        await asyncio.sleep(0.02)


async def until_restarted(stream: WorkerStream, more: int) -> int:
    """Reads until the stream was begun anew, and so many pictures on; the restarts seen."""
    restarts, packets = 0, 0
    async with asyncio.timeout(30):
        async for event in stream.events():
            restarts += isinstance(event, WorkerRestarted)
            packets += restarts > 0 and isinstance(event, MediaPacket)
            if packets == more:
                break
    return restarts


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("portrait") / "mira.safetensors"
    load_engine("lite", size_px=128).prepare(load_avatar("mira")).save(path)
    return path


@asynccontextmanager
async def talking(portraits: list[Path]) -> AsyncIterator[list[WorkerStream]]:
    """Streams of the embedded engine in one process, each with somebody who watches."""
    request = EngineRequest("lite", 128, {"streams": len(portraits)})
    pool = WorkerPool(request, MonotonicClock(), limit=len(portraits))
    await pool.start()
    streams = [await pool.open(StreamRequest(path, StreamOptions())) for path in portraits]
    for stream in streams:
        stream.set_codecs(frozenset({"vp8"}))
    speaker = asyncio.create_task(talk(streams))
    try:
        yield streams
    finally:
        speaker.cancel()
        await asyncio.gather(speaker, return_exceptions=True)
        for stream in streams:
            await stream.close()
        await pool.close()


async def test_all_sessions_of_a_dead_process_come_back(portrait: Path) -> None:
    async with talking([portrait, portrait]) as streams:
        old = pids(streams)
        assert old[0] == old[1]
        await asyncio.gather(*(collected(stream, 5) for stream in streams))
        streams[0]._place.worker.process.kill()  # type: ignore[union-attr]
        assert await asyncio.gather(*(until_restarted(s, 5) for s in streams)) == [1, 1]
        new = pids(streams)
        assert new[0] == new[1] != old[0]


async def test_a_stream_that_fails_ends_alone(portrait: Path, tmp_path: Path) -> None:
    """A portrait whose tongue is no picture: drawing fails once the mouth opens."""
    good = IdentityLatents.load(portrait)
    broken = tmp_path / "broken.safetensors"
    tensors = dict(good.tensors) | {"interior.tongue": np.zeros((0, 4), np.uint8)}
    IdentityLatents("lite", 128, "broken", tensors, good.meta).save(broken)
    async with talking([portrait, broken]) as (healthy, failing):
        pid = pids([healthy])
        events = []
        async with asyncio.timeout(30):
            async for event in failing.events():
                events.append(event)
        assert isinstance(events[-1], WorkerError)
        assert sum(isinstance(event, WorkerRestarted) for event in events) == 3
        assert len(await collected(healthy, 20)) == 20
        assert pids([healthy]) == pid
        assert healthy._place is not None
        assert healthy._place.worker.process.returncode is None


async def test_an_identity_that_is_gone_is_told_at_once(identity: Path, tmp_path: Path) -> None:
    pool = WorkerPool(EngineRequest("testcard", 128), MonotonicClock())
    await pool.start()
    stream = await pool.open(StreamRequest(tmp_path / "nothing", StreamOptions()))
    async with asyncio.timeout(20):
        events = [event async for event in stream.events()]
    assert isinstance(events[-1], WorkerError)
    await stream.close()
    await pool.close()


async def test_places_are_measured_with_a_portrait_alone(portrait: Path) -> None:
    for identity, places in ((None, [1]), (portrait, [2, 3, 4])):
        pool = WorkerPool(EngineRequest("lite", 128), MonotonicClock())
        await pool.start(identity)
        place = await pool.take()
        assert place.worker.streams in places
        await pool.give_back(place)
        await pool.close()


async def test_pictures_of_sound_that_was_taken_back_are_never_made(identity: Path) -> None:
    async with running(identity) as (_, stream):
        stream.set_codecs(frozenset({"vp8"}))
        for number in range(40):
            loud = np.full(960, 10_000 * (8 <= number % 20 < 10), np.int16)
            stream.push_audio(loud, number * 960, 0)
            if number == 30:  # the frame of ticks 28 and 29 needs those up to 33
                stream.silence_from(27 * 960)
            await asyncio.sleep(0.02)
        packets = await collected(stream, 17)
    context = av.CodecContext.create("libvpx", "r")
    shown = [
        f.to_ndarray(format="rgb24") for p in packets for f in context.decode(av.Packet(p.data))
    ]
    assert [read_pts(picture) for picture in shown] == list(range(17)), "none is lost or twice"
    assert [pts for pts, picture in enumerate(shown) if is_flash(picture)] == [4, 5]
