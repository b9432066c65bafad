"""How soon the avatar speaks, and how soon it is silent, as a real WebRTC viewer hears it.

    python -m benchmarks.barge_in --times 20 --json FILE

`first_word`: from the text sent to the voice heard, with the embedded voice or one of piper's
(`--piper en_US-….onnx`). The first text is among them: a voice is ready before it is asked.
`interrupt_to_silence`: from the command sent to the last sound heard, of speech and of PCM from a
program. Client, server and worker share the machine; the client's own jitter buffer is part of
both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.report import Figures, report
from tests.peers.listening import Ear, listening
from tests.peers.real_server import real_server
from tests.peers.test_pcm import raw, tone

TEXT = (
    "Are you there? I have been waiting for you, and there is a lot that I would like to say. " * 3
)


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


async def measure(times: int, engine: str, piper: str = "") -> Figures:
    config: dict[str, dict[str, object]] = {"engine": {"name": engine, "size_px": 256}}
    if piper:
        config |= {"speech": {"engine": "piper"}, "speech.settings": {"models": [piper]}}
    with real_server(**config) as server:
        async with listening(server.url) as ear:
            words, speech_silence = await speech(ear, times)
            samples, pcm_silence = await program(server.url, ear, times)

    def percentile(values: list[float], q: float) -> float:
        return round(float(np.percentile(values, q)), 1)

    return {
        "first_word_ms_p50": percentile(words, 50),
        "first_word_ms_p95": percentile(words, 95),
        "first_word_ms_max": percentile(words, 100),
        "first_pcm_ms_p50": percentile(samples, 50),
        "interrupt_to_silence_ms_p95": percentile(speech_silence + pcm_silence, 95),
        "interrupt_speech_ms_p50": percentile(speech_silence, 50),
        "interrupt_pcm_ms_p50": percentile(pcm_silence, 50),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--engine", default="lite")
    parser.add_argument("--piper", default="", help="the file of a voice")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = asyncio.run(measure(options.times, options.engine, options.piper))
    report(f"First word and barge-in, {options.times} times each", figures, options.json)


if __name__ == "__main__":
    main()
