"""How soon the avatar speaks, and how soon it is silent and its mouth shut, for a real viewer.

    python -m benchmarks.barge_in --times 20 --json FILE

`first_word`: from the text sent to the voice heard, with the embedded voice or one of piper's
(`--piper en_US-….onnx`). The first text is among them: a voice is ready before it is asked.
`interrupt_to_silence`: from the command sent to the last sound heard, of speech and of PCM from a
program. `interrupt_to_shut`: from the command sent to the first picture of a mouth that stays shut,
shown by a real Chromium, when the command found it open; `sound_to_shut`: the same from the end of
the sound, in a recording. Client, server and worker share the machine; the client's own jitter
buffer is part of all but the recording.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.async_api import Page

from benchmarks.report import Figures, report
from tests.peers.browser import browser_page, picture_shown, probe, video_stats
from tests.peers.interrupted import shut_after_sound_ms
from tests.peers.listening import Ear, listening
from tests.peers.mouth import Mouth, shut_after
from tests.peers.real_server import RealServer, real_server
from tests.peers.rest import call
from tests.peers.test_pcm import raw, tone

TEXT = (
    "Are you there? I have been waiting for you, and there is a lot that I would like to say. " * 3
)

SETTLE_S = 25.0  # the browser's synchronisation of picture and sound, and the server's own
MOST_TRIES = 4  # for each command that finds the mouth open


async def heard_after_ms(ear: Ear, since_s: float) -> float:
    async with asyncio.timeout(10):
        while (voice_s := ear.voice_since_s(since_s)) is None:
            await asyncio.sleep(0.005)
    return 1000 * (voice_s - since_s)


async def silent_after_ms(ear: Ear) -> float:
    since_s = time.monotonic()
    await ear.client.send("interrupt")
    await asyncio.sleep(0.6)
    after_ms = 1000 * max(ear.last_voice_s() - since_s, 0.0)
    await ear.quiet(0.3)
    return after_ms


async def speech(ear: Ear, times: int) -> tuple[list[float], list[float]]:
    """Times to the first word, and to silence after an interruption."""
    first, silence = [], []
    await ear.quiet(1.0)
    for index in range(times):
        since_s = time.monotonic()
        await ear.client.send("say", text=TEXT)
        first.append(await heard_after_ms(ear, since_s))
        await asyncio.sleep(1.0 + 0.037 * index)  # at no special place of a word or a tick
        silence.append(await silent_after_ms(ear))
    return first, silence


async def program(url: str, ear: Ear, times: int) -> tuple[list[float], list[float]]:
    """The same for PCM that a program sends."""
    first, silence = [], []
    async with raw(url) as pcm:
        session, resume = ear.welcome["session"], ear.welcome["resume"]
        await pcm.send("start", session=session, resume=resume, rate_hz=24_000)
        await pcm.expect("ready")
        for index in range(times):
            since_s = time.monotonic()
            await pcm.socket.send(tone(2.5, 24_000))
            first.append(await heard_after_ms(ear, since_s))
            await asyncio.sleep(0.5 + 0.013 * index)
            silence.append(await silent_after_ms(ear))
            await pcm.socket.send(json.dumps({"type": "end"}))
    return first, silence


class Onlooker:
    """A browser that shows a session of its own, and commands it."""

    def __init__(self, server: RealServer, page: Page, session: dict[str, Any]) -> None:
        self._server, self.page, self._session = server, page, session

    async def command(self, kind: str, **fields: object) -> float:
        """When it was sent, in the page's milliseconds."""
        path, token = f"/api/sessions/{self._session['id']}/commands", self._session["token"]
        sent_ms: float = await self.page.evaluate(
            """async ([path, token, body]) => {
              const sent = performance.now();
              const headers = { Authorization: `Bearer ${token}`,
                                "Content-Type": "application/json" };
              await fetch(path, { method: "POST", headers, body });
              return sent;
            }""",
            [path, token, json.dumps({"type": kind, **fields})],
        )
        return sent_ms

    async def seen(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Pictures of the mouth [n, pixels] since the last call and the next so many seconds,
        and when each was shown, in the page's milliseconds."""
        await asyncio.sleep(seconds)
        frames = await self.page.evaluate(
            """() => window.__probe.frames.splice(0).filter((frame) => frame.mouth)
              .map(({ time, mouth }) => [
                time, String.fromCharCode(...mouth.filter((_, i) => i % 4 === 1))])"""
        )
        crops = [np.frombuffer(mouth.encode("latin-1"), np.uint8) for _, mouth in frames]
        return np.array(crops), np.array([time for time, _ in frames])


@asynccontextmanager
async def looking(server: RealServer) -> AsyncIterator[Onlooker]:
    _, session = call(server, "POST", "/api/sessions", {"settings": {"motion_scale": 0}})
    async with browser_page(f"{server.url}/obs?session={session['id']}") as page:
        await picture_shown(page)
        await probe(page, "start()")
        await page.evaluate("window.__probe.region = [32, 72, 64, 48]")
        yield Onlooker(server, page, session)


async def picture(server: RealServer, times: int) -> tuple[list[float], dict[str, float]]:
    """Times to a shut mouth, and what the browser says of the video."""
    shut: list[float] = []
    async with looking(server) as onlooker:
        await asyncio.sleep(SETTLE_S)
        await onlooker.seen(0)
        resting, _ = await onlooker.seen(1.0)
        await onlooker.command("say", text=TEXT)
        talking, _ = await onlooker.seen(4.0)
        await onlooker.command("interrupt")
        await onlooker.seen(1.0)
        mouth = Mouth(np.concatenate([resting, talking]), len(resting))
        for index in range(MOST_TRIES * times):
            await onlooker.command("say", text=TEXT)
            await asyncio.sleep(1.0 + 0.037 * (index % 50))
            sent_ms = await onlooker.command("interrupt")
            crops, times_ms = await onlooker.seen(1.0)
            after_ms = shut_after(mouth.apertures(crops), times_ms, sent_ms)
            shut += [] if after_ms is None else [after_ms]
            if len(shut) == times:
                break
        return shut, await video_stats(onlooker.page)


def percentile(values: list[float], q: float) -> float:
    return round(float(np.percentile(values, q)), 1)


async def heard(times: int, engine: str, piper: str = "") -> Figures:
    config: dict[str, dict[str, object]] = {"engine": {"name": engine, "size_px": 256}}
    if piper:
        config |= {"speech": {"engine": "piper"}, "speech.settings": {"models": [piper]}}
    with real_server(**config) as server:
        async with listening(server.url) as ear:
            words, speech_silence = await speech(ear, times)
            samples, pcm_silence = await program(server.url, ear, times)
    return {
        "first_word_ms_p50": percentile(words, 50),
        "first_word_ms_p95": percentile(words, 95),
        "first_word_ms_max": percentile(words, 100),
        "first_pcm_ms_p50": percentile(samples, 50),
        "interrupt_to_silence_ms_p95": percentile(speech_silence + pcm_silence, 95),
        "interrupt_speech_ms_p50": percentile(speech_silence, 50),
        "interrupt_pcm_ms_p50": percentile(pcm_silence, 50),
    }


async def seen(times: int) -> Figures:
    with real_server(engine={"name": "lite", "size_px": 256}) as server:
        shut, video = await picture(server, times)
    with tempfile.TemporaryDirectory() as folder:
        talks_s = [1.1 + 0.037 * index for index in range(times)]
        after_sound = await shut_after_sound_ms(Path(folder), 0, talks_s)
    return {
        "interrupt_to_shut_ms_p50": percentile(shut, 50),
        "interrupt_to_shut_ms_p95": percentile(shut, 95),
        "interruptions_seen": len(shut),
        "browser_jitter_buffer_ms": round(
            1000 * video["jitterBufferDelay"] / video["jitterBufferEmittedCount"], 1
        ),
        "sound_to_shut_ms_p50": percentile(after_sound, 50),
        "sound_to_shut_ms_p95": percentile(after_sound, 95),
        "freezes": int(video["freezeCount"]),
        "pictures_dropped": int(video["framesDropped"]),
    }


async def measure(times: int, piper: str) -> Figures:
    return await heard(times, "lite", piper) | await seen(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--piper", default="", help="the file of a voice")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = asyncio.run(measure(options.times, options.piper))
    report(f"First word and barge-in, {options.times} times each", figures, options.json)


if __name__ == "__main__":
    main()
