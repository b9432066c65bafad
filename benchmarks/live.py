"""The whole loop in a real browser: microphone -> server -> worker -> playback.

    python -m benchmarks.live --seconds 60 --json FILE

Three runs: `testcard` measures time (its flash and the beep belong to one instant), `lite` what a
user gets, and a calibration session how exactly commanded offsets are met on the wire
(`benchmarks.offsets`). Chromium, server and worker share the machine, as they do on a laptop.

`skew_ms` is the browser's own estimate of what it shows against what it plays; negative: the
picture is early. `tapped_skew_ms` is measured from outside, flash against beep, but the sound is
tapped with WebAudio, which hears it some 30 to 50 ms after the loudspeaker does: that delay is
part of it and of `mic_to_audio_ms`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.async_api import Page

from benchmarks import offsets
from benchmarks.report import Figures, report
from benchmarks.sounds import beeps, voice, write_wav
from tests.peers.browser import browser_page, picture_shown, probe, video_stats
from tests.peers.real_server import real_server

SETTLE_S = 25.0  # the browser's audio-video synchronisation needs this long
OFFSETS_MS = (-300, -50, -10, 10, 50, 300)
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(process_id: int) -> float:
    """CPU seconds of a process and its live children so far."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(stat.parent.name) == process_id or int(fields[1]) == process_id:
            total += (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    return total


def percentile(values: list[float], q: float) -> float | None:
    return round(float(np.percentile(values, q)), 1) if values else None


async def go_live(page: Page) -> float:
    """Press the button; milliseconds from the page's opening to its first picture (the avatar
    is there before anything is pressed)."""
    await picture_shown(page)
    await page.wait_for_selector("body[data-state=ready]")
    await probe(page, "start()")
    await page.click("#go-live")
    await page.wait_for_selector("body[data-state=live]")
    await probe(page, "startMic()")
    return float(await probe(page, "firstFrameMs"))


async def stop_to_silence_ms(page: Page) -> float | None:
    """From the press of the button to the last sound heard, in a stretch of talk."""
    await page.wait_for_function("window.__probe.levels.at(-1)[1] > 0.02", timeout=10_000)
    pressed = await page.evaluate(
        "(() => { document.querySelector('#stop').click(); return performance.now(); })()"
    )
    await asyncio.sleep(1.0)
    loud = await page.evaluate(
        f"window.__probe.levels.filter(([t, rms]) => t > {pressed} && rms > 0.005).map(([t]) => t)"
    )
    return round(max(loud) - pressed, 1) if loud else 0.0


async def timing(seconds: float, folder: Path) -> Figures:
    """The testcard: latency and the skew of picture against sound."""
    microphone = folder / "beeps.wav"
    write_wav(microphone, beeps(60))
    with real_server(engine={"name": "testcard"}) as server:
        async with browser_page(server.url + "/", microphone=microphone) as page:
            await go_live(page)
            await asyncio.sleep(SETTLE_S)
            browsers = await browsers_skew_ms(page, seconds)
            mic = np.array([t for t, _ in await probe(page, "micOnsets")])
            sound = await probe(page, "soundOnsets")
            frames = await probe(page, "frames")
    return _timing_figures(mic, sound, frames) | {
        "skew_ms_p50": percentile(browsers, 50),
        "skew_ms_p95": percentile([abs(skew) for skew in browsers], 95),
    }


async def browsers_skew_ms(page: Page, seconds: float) -> list[float]:
    """Once a second, what the browser itself estimates: the media time of the picture it shows
    less that of the sound it plays. Free of the WebAudio tap's delay."""
    skews = []
    for _ in range(int(seconds)):
        await asyncio.sleep(1)
        playing = await page.evaluate(
            """async () => {
              const now = {};
              (await window.__peer.getStats()).forEach((report) => {
                if (report.type === "inbound-rtp")
                  now[report.kind] = report.estimatedPlayoutTimestamp;
              });
              return now;
            }"""
        )
        if playing.get("video") and playing.get("audio"):
            skews.append(float(playing["audio"] - playing["video"]))
    return skews


def _timing_figures(
    mic: np.ndarray, sound: list[list[float]], frames: list[dict[str, object]]
) -> Figures:
    latencies = []
    for heard, _ in sound:
        before = mic[(mic < heard) & (mic > heard - 0.9)]
        if len(before):
            latencies.append(1000 * (heard - before[-1]))
    times = np.array([frame["time"] for frame in frames], float)
    flash = np.array([bool(frame["flash"]) for frame in frames])
    # The sound began somewhere within the 40 ms that the flashing picture shows.
    middles = times[1:][flash[1:] & ~flash[:-1]] + 20
    settled = times[0] + 1000 * SETTLE_S
    skews = []
    for _, heard in sound:
        nearest = middles[np.abs(middles - heard).argmin()] if len(middles) else None
        if nearest is not None and abs(nearest - heard) < 400 and heard > settled:
            skews.append(float(nearest - heard))
    return {
        "mic_to_audio_ms_p50": percentile(latencies, 50),
        "mic_to_audio_ms_p95": percentile(latencies, 95),
        "tapped_skew_ms_p50": percentile(skews, 50),
        "tapped_skew_ms_p95": percentile([abs(skew) for skew in skews], 95),
        "beeps": len(skews),
    }


async def experience(seconds: float, folder: Path) -> Figures:
    """The embedded avatar as a user sees it."""
    microphone = folder / "voice.wav"
    write_wav(microphone, voice(40))
    with real_server() as server:
        async with browser_page(server.url + "/", microphone=microphone) as page:
            first_ms = await go_live(page)
            await asyncio.sleep(3)
            before_cpu_s, before_s = cpu_s(server.process.pid), time.monotonic()
            shown_before = await video_stats(page)
            await asyncio.sleep(seconds)
            passed_s = time.monotonic() - before_s
            cores = (cpu_s(server.process.pid) - before_cpu_s) / passed_s
            shown = await video_stats(page)
            stats = await _server_stats(page)
            silence = await stop_to_silence_ms(page)
    return {
        "fps": round((shown["framesDecoded"] - shown_before["framesDecoded"]) / passed_s, 2),
        "freezes": int(shown["freezeCount"] - shown_before["freezeCount"]),
        "first_frame_ms": round(first_ms),
        "stop_to_silence_ms": silence,
        "server_cpu_cores": round(cores, 3),
    } | stats


async def _server_stats(page: Page) -> Figures:
    """The stages as the page's panel shows them: p50 / p95."""
    rows: dict[str, str] = await page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("#stats dt")]
          .map((term) => [term.textContent, term.nextSibling.textContent]))"""
    )
    stages = {name: value for name, value in rows.items() if "/" in value}
    return {f"stage_{name.replace(' ', '_')}": value for name, value in stages.items()}


async def run(seconds: float) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        figures = await timing(seconds, Path(folder))
        figures |= await experience(seconds, Path(folder))
    with real_server(engine={"name": "testcard", "size_px": 256}) as server:
        return figures | await offsets.figures(server, OFFSETS_MS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = asyncio.run(run(options.seconds))
    report(f"Live loop, {options.seconds:g} s measured after {SETTLE_S:g} s", figures, options.json)


if __name__ == "__main__":
    main()
