"""The virtual camera and the loudspeaker, with a stand-in for the device behind them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar_server.sinks.camera import Camera
from avatar_server.sinks.speaker import Speaker
from sonic_stream.engines.testcard import read_pts
from tests.avatar_server.sinks.contract import Case, check_a_killed_child, check_contract
from tests.avatar_server.sinks.session import SmallSession

MODULE = "tests.avatar_server.sinks.stand_in"
CAMERA, STREAM = f"{MODULE}:Camera", f"{MODULE}:OutputStream"


def camera(device: str) -> Case:
    return Case(lambda feed: Camera(device, feed, CAMERA))


def speaker(device: str) -> Case:
    return Case(lambda feed: Speaker(device, feed, STREAM))


@pytest.mark.parametrize("case_of", [camera, speaker])
async def test_contract(case_of: type[Case], tmp_path: Path) -> None:
    case = case_of(str(tmp_path / "device"))
    await check_contract(case)
    await check_a_killed_child(case, "retrying")


async def test_the_camera_shows_every_picture_in_order(tmp_path: Path) -> None:
    session, device = SmallSession(), tmp_path / "camera"
    sink = Camera(str(device), session.feed, CAMERA)
    session.sinks.append(sink)
    await session.until(sink, "live")
    await session.run(3.0)
    assert sink.status()["shown"]
    await sink.close()
    planes = np.frombuffer(device.read_bytes(), np.uint8).reshape(-1, 192, 128)
    numbers = [read_pts(cv2.cvtColor(p, cv2.COLOR_YUV2RGB_I420)) for p in planes]
    assert len(numbers) > 40  # some pictures come two at a time on a busy machine
    assert None not in numbers and numbers == sorted(set(numbers))
    assert session.asked.count("vp8") <= 2  # no key frames beyond the first: viewers pay for them


async def test_the_speaker_plays_what_was_said_at_the_devices_pace(tmp_path: Path) -> None:
    session, device = SmallSession(), tmp_path / "speaker"
    sink = Speaker(str(device), session.feed, STREAM)
    session.sinks.append(sink)
    await session.until(sink, "live")
    await session.run(5.0)
    assert float(str(sink.status()["buffer_ms"])) < 300
    await sink.close()
    samples = np.frombuffer(device.read_bytes(), np.float32)
    loud = np.flatnonzero(np.abs(samples) > 0.1)
    starts = loud[np.flatnonzero(np.diff(loud, prepend=-48_000) > 20_000)]
    assert len(starts) >= 3
    # The device runs fast, so that periods are put in; a beep comes about every 1.013 s (the
    # first ones while the buffer finds its level).
    assert np.abs(np.diff(starts[1:]) / 48_000 - 1.013).max() < 0.1
    assert 0.45 < np.abs(samples).max() < 0.6


@pytest.mark.parametrize("kind", ["camera", "speaker"])
async def test_a_device_that_goes_away_is_looked_for_again(kind: str, tmp_path: Path) -> None:
    session = SmallSession()
    device = str(tmp_path / "fragile")
    sink = (camera if kind == "camera" else speaker)(device).make(session.feed)
    session.sinks.append(sink)
    await session.until(sink, "retrying")
    assert "lost" in str(sink.status()["reason"])
    await session.until(sink, "live")
    await sink.close()


async def told(sink: Camera | Speaker, session: SmallSession) -> str:
    session.sinks.append(sink)
    await session.until(sink, "failed", "retrying")
    reason = str(sink.status()["reason"])
    await sink.close()
    return reason


async def test_what_is_missing_is_told_with_what_to_do() -> None:
    session = SmallSession()
    feed = session.feed
    assert "modprobe v4l2loopback" in await told(Camera("", feed, CAMERA), session)
    assert "[vcam]" in await told(Camera("", feed, "no_such_module:Camera"), session)
    assert "cannot be opened" in await told(Speaker("", feed, STREAM), session)
    assert "[local]" in await told(Speaker("", feed, "no_such_module:OutputStream"), session)


async def test_the_real_libraries_fail_in_words_too() -> None:
    """With whatever this machine has: no package, no library, no device, or all of them."""
    session = SmallSession()
    for sink in (Camera("no such camera", session.feed), Speaker("no such speaker", session.feed)):
        session.sinks.append(sink)
        await session.until(sink, "failed", "retrying")
        assert "ended unexpectedly" not in str(sink.status()["reason"])
        await sink.close()
