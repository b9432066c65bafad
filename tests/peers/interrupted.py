"""Talk of an open mouth that is interrupted, as a recording by the real server shows it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.sounds import write_wav
from tests.peers.clients import control, heartbeat
from tests.peers.mouth import Mouth, shut_after
from tests.peers.real_server import RealServer, real_server
from tests.peers.rest import call

LOUD = 0.01
EARLY_S = 0.08  # before anything of the sound's end can show
REST_S, PAUSE_S = 1.5, 1.3


def open_vowel(seconds: float) -> np.ndarray:
    """A mouth that says this is never shut."""
    time = np.arange(int(48_000 * seconds)) / 48_000
    pitch_hz = 120 + 15 * np.sin(2 * np.pi * 0.7 * time)
    phase, sound = 2 * np.pi * np.cumsum(pitch_hz) / 48_000, np.zeros_like(time)
    for harmonic in range(1, 30):
        hz = harmonic * pitch_hz
        gain = sum(np.exp(-(((hz - formant) / 150) ** 2)) for formant in (850, 1400))
        sound += gain * np.sin(harmonic * phase)
    swell = 0.7 - 0.3 * np.cos(2 * np.pi * 4 * time)
    return np.asarray(0.3 * swell * sound / np.abs(sound).max())


async def facts_with(server: RealServer, session: str, **wanted: object) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            facts: dict[str, Any] = json.loads(server.get(f"/api/sessions/{session}"))
            if wanted.items() <= facts.items():
                return facts
            await asyncio.sleep(0.05)


async def record(server: RealServer, sound: bytes, offset_ms: int, talks_s: Sequence[float]) -> str:
    """The name of a recording of talk that is interrupted several times."""
    async with control(server.url) as client:
        await client.send("hello")
        welcome = await client.expect("welcome")
        session, token = welcome["session"], welcome["resume"]
        _, file = call(server, "POST", "/api/files?name=talk.wav", sound, token)
        await client.send("set", motion_scale=0, lip_sync_offset_ms=offset_ms)
        async with heartbeat(client):
            await asyncio.sleep(abs(offset_ms) / 40)  # the slew, and a little more
            await client.send("sink_open", id="take", kind="recording")
            await client.expect("state", timeout_s=20)
            await asyncio.sleep(REST_S + 1)
            for talk_s in talks_s:
                await client.send("play", file=file["id"])
                await facts_with(server, session, speaking=True)
                await asyncio.sleep(talk_s)
                await client.send("interrupt")
                await asyncio.sleep(PAUSE_S)
                await facts_with(server, session, speaking=False)
            facts = await facts_with(server, session)
            [name] = [sink["file"] for sink in facts["sinks"] if sink["id"] == "take"]
            await client.send("sink_close", id="take")
            await asyncio.sleep(3)
    return str(name)


def seen_and_heard(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Crops of the lower face [n, h, w], when each is shown, and the seconds that are loud."""
    crops, times_s, loud_s = [], [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0, audio=0):
            if isinstance(frame, av.VideoFrame):
                crops.append(frame.to_ndarray(format="gray")[144:240, 64:192])
                times_s.append(frame.time)
            else:
                loud = np.abs(frame.to_ndarray()[0]) > LOUD
                loud_s += list(frame.time + np.flatnonzero(loud) / frame.sample_rate)
    return np.array(crops), np.array(times_s), np.array(loud_s)


async def shut_after_sound_ms(
    folder: Path, offset_ms: int, talks_s: Sequence[float]
) -> list[float]:
    """From the end of the sound to the first picture of a mouth that stays shut, after talk of so
    many seconds each. Raises `AssertionError` when a picture was repeated or went back."""
    write_wav(folder / "talk.wav", open_vowel(4))
    paths = {"cache": str(folder / "cache"), "recordings": str(folder / "recordings")}
    with real_server(engine={"name": "lite", "size_px": 256}, paths=paths) as server:
        name = await record(server, (folder / "talk.wav").read_bytes(), offset_ms, talks_s)
    crops, times_s, loud_s = seen_and_heard(folder / "recordings" / name)
    assert np.diff(times_s).min() > 0.03, "none jumps back, none is shown twice"
    ends_s = loud_s[np.append(np.diff(loud_s) > PAUSE_S / 2, True)]
    assert len(ends_s) == len(talks_s)
    mouth = Mouth(crops, int(np.searchsorted(times_s, REST_S)))
    delays_ms = []
    for end_s in ends_s:
        near = (times_s > end_s - 1) & (times_s < end_s + PAUSE_S - 0.2)
        seen_s = end_s + max(offset_ms, 0) / 1000 - EARLY_S
        after_s = shut_after(mouth.apertures(crops[near]), times_s[near], seen_s)
        delays_ms += [] if after_s is None else [1000 * (after_s - EARLY_S)]
    return delays_ms
