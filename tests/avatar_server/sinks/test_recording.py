"""Recordings, decoded again: sync, alpha, captions, crashes, full disks."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from pathlib import Path

import av
import numpy as np
import pytest

from avatar_server.sinks.mux import Muxer, MuxSettings
from avatar_server.sinks.mux_process import new_file
from avatar_server.sinks.recording import CODECS, Container, Recording
from avatar_server.worker.encoders import open_encoder
from avatar_server.worker.vp9 import Vp9AlphaEncoder, split
from tests.avatar_server.sinks.contract import Case, check_a_killed_child, check_contract
from tests.avatar_server.sinks.session import FPS, SmallSession
from tests.peers.media import read

CONTAINERS: tuple[Container, ...] = ("mp4", "webm")


def case(folder: Path, container: Container) -> Case:
    return Case(lambda feed: Recording(folder, "take", container, feed))


@pytest.mark.parametrize("container", CONTAINERS)
async def test_contract(container: Container, tmp_path: Path) -> None:
    await check_contract(case(tmp_path, container))
    await check_a_killed_child(case(tmp_path, container), "failed")


async def record(
    folder: Path, container: Container, seconds: float, *, before_s: float = 0.0
) -> tuple[SmallSession, Path]:
    session = SmallSession()
    await session.run(before_s, pace=1e9)
    recording = Recording(folder, "take", container, session.feed)
    session.sinks.append(recording)
    await session.until(recording, "live")
    await session.run(seconds, pace=5)
    await recording.close()
    return session, folder / str(recording.status()["file"])


@pytest.mark.parametrize("container", CONTAINERS)
async def test_sound_and_picture_agree_to_the_frame(container: Container, tmp_path: Path) -> None:
    """Started in the middle of a session, at no special moment."""
    _, path = await record(tmp_path, container, 8.0, before_s=7.34)
    got = read(path)
    skews = got.skews_ms()
    assert len(skews) >= 7
    assert max(map(abs, skews)) <= 21, skews
    assert got.numbers == list(range(got.numbers[0], got.numbers[0] + len(got.pictures)))
    assert got.numbers[0] > 150
    assert got.pictures[0].time_s == pytest.approx(0, abs=0.03)
    assert abs(got.sound_s - len(got.pictures) / 25) < 0.1


@pytest.mark.parametrize("container", CONTAINERS)
async def test_pictures_are_those_of_the_encoder(container: Container, tmp_path: Path) -> None:
    """Not encoded a second time: the bytes are the encoder's own, with key frames to seek by."""
    session, path = await record(tmp_path, container, 5.0)
    with av.open(str(path)) as file:
        keys = [float(p.pts * p.time_base) for p in file.demux(video=0) if p.is_keyframe and p.size]
    assert max(np.diff(keys)) <= 2.0
    assert set(session.asked) == ({"h264"} if container == "mp4" else {"vp9+alpha"})
    with av.open(str(path)) as file:
        assert file.streams.video[0].codec_context.name == {"mp4": "h264", "webm": "vp9"}[container]
        assert file.streams.audio[0].codec_context.name == {"mp4": "aac", "webm": "opus"}[container]


@pytest.mark.parametrize("container", CONTAINERS)
async def test_a_crash_loses_two_seconds_at_most(container: Container, tmp_path: Path) -> None:
    session = SmallSession()
    recording = Recording(tmp_path, "take", container, session.feed)
    session.sinks.append(recording)
    await session.until(recording, "live")
    await session.run(6.0)
    taken = session.ticks
    assert recording.pid is not None
    os.kill(recording.pid, signal.SIGKILL)
    await session.until(recording, "failed")
    path = tmp_path / str(recording.status()["file"])
    got = read(path)
    # What had left for the sinks when it was killed: the latency is not in the file yet.
    newest = (taken * 20 - session.latency_ms) / 40
    assert newest - got.numbers[-1] <= 2 * 25
    assert max(map(abs, got.skews_ms())) <= 21
    await recording.close()


async def test_a_file_that_may_not_grow_ends_it_with_the_reason(tmp_path: Path) -> None:
    """The kernel refuses further bytes, as it does on a full disk; the session goes on."""
    session = SmallSession()
    recording = Recording(tmp_path, "take", "mp4", session.feed)
    session.sinks.append(recording)
    await session.until(recording, "live")
    assert recording.pid is not None
    resource.prlimit(recording.pid, resource.RLIMIT_FSIZE, (200_000, 200_000))
    async with asyncio.timeout(20):
        while recording.status()["state"] == "live":
            await session.run(0.5, pace=10)
    assert recording.status()["state"] == "failed"
    assert "may not grow" in str(recording.status()["reason"])
    assert [code for code, _ in session.notices] == ["sink_failed"]
    assert recording.codecs == frozenset()
    assert len(read(tmp_path / str(recording.status()["file"])).pictures) >= 25
    await recording.close()


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    session = SmallSession()
    recording = Recording(tmp_path / "file", "take", "mp4", session.feed)
    session.sinks.append(recording)
    await session.until(recording, "failed")
    assert str(tmp_path / "file") in str(recording.status()["reason"])
    await recording.close()


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("first", [20, 24, 30])
def test_pictures_that_were_left_out_leave_their_time(
    container: Container, first: int, tmp_path: Path
) -> None:
    """Whether or not a piece of the file ends in the hole."""
    path = tmp_path / f"holes.{container}"
    muxer = Muxer(MuxSettings(container, str(path), CODECS[container], FPS, 64, 0, captions=True))
    encoder = open_encoder(CODECS[container], 64, FPS, 100_000)
    kept = []
    for pts in range(250):
        muxer.sound(np.zeros(1920, np.int16), pts * 1920)
        if first <= pts < first + 13 or 110 <= pts < 190:
            continue
        packet = encoder.encode(np.zeros((64, 64, 3), np.uint8), pts, keyframe=False)
        assert packet is not None
        kept.append(pts)
        muxer.picture(packet.data, 3600 * pts, keyframe=packet.keyframe)
    muxer.close()
    with av.open(str(path)) as file:
        times_s = [frame.time for frame in file.decode(video=0)]
    assert len(times_s) == len(kept)
    shifts_s = [time_s - pts / 25 for time_s, pts in zip(times_s, kept, strict=True)][1:]
    assert max(shifts_s) - min(shifts_s) < 0.002


async def test_alpha_comes_back(tmp_path: Path) -> None:
    """A wedge of transparency, encoded as the worker does and muxed as a recording is."""
    wedge = np.tile(np.linspace(0, 255, 128).astype(np.uint8), (128, 1))
    picture = np.dstack([np.full((128, 128, 3), (200, 80, 40), np.uint8), wedge])
    encoder = Vp9AlphaEncoder(128, FPS, 500_000)
    path = tmp_path / "alpha.webm"
    muxer = Muxer(MuxSettings("webm", str(path), "vp9+alpha", FPS, 128, 0))
    for pts in range(50):
        packet = encoder.encode(picture, pts, keyframe=pts == 25)
        assert packet is not None and packet.keyframe == (pts in (0, 25))
        muxer.sound(np.zeros(1920, np.int16), pts * 1920)
        muxer.picture(packet.data, 3600 * pts, keyframe=packet.keyframe)
    muxer.close()
    assert b"\x53\xc0\x81\x01" in path.read_bytes()[:2000]  # Matroska's AlphaMode: 1
    decoder = av.CodecContext.create("libvpx-vp9", "r")
    with av.open(str(path)) as file:
        frames = [f for p in file.demux(video=0) if p.size for f in decoder.decode(p)]
    assert len(frames) == 50
    for frame in (frames[0], frames[-1]):
        rgba = frame.reformat(format="rgba").to_ndarray().astype(int)
        assert np.abs(rgba[..., 3] - wedge).mean() < 3
        assert np.abs(rgba[..., :3] - (200, 80, 40)).mean() < 6


def test_pictures_without_a_matte_are_opaque() -> None:
    encoder = Vp9AlphaEncoder(64, FPS, 200_000)
    packet = encoder.encode(np.full((64, 64, 3), 90, np.uint8), 0, keyframe=True)
    assert packet is not None
    colour, alpha = split(packet.data)
    assert colour and alpha
    with pytest.raises(ValueError, match="cut off"):
        split(packet.data[: len(colour) // 2])
    with pytest.raises(ValueError, match="no picture"):
        split(b"")


def test_names_are_never_taken_twice(tmp_path: Path) -> None:
    names = [new_file(tmp_path / "new", "a", "mp4").name for _ in range(3)]
    assert names == ["a.mp4", "a-2.mp4", "a-3.mp4"]
