"""Every way out, as its real peer received it; and how exactly the avatar obeys.

    python -m benchmarks.sinks --json FILE

A testcard session is given a beep every 1.013 s as PCM. `<sink>_skew_ms_p95` is picture against
sound at each beep; `<sink>_latency_ms_p50` is from sending the PCM to the picture of that moment
being received (browsers: shown). Peers: Chromium with the studio page and with the OBS page, an
aiortc WHEP viewer, a WHIP server, nginx-rtmp and a player, srt-live-transmit (120 ms of the latency
are SRT's own), and the recorded file. In browsers the skew is the browser's own estimate, as
WebAudio's tap has a delay of its own.

`offset_error_ms_max`: each commanded offset of a session and of a viewer, as sent on the wire.
`interrupt_to_silence_ms_p95` and `first_word_ms_p50` are those of benchmarks.barge_in: from sending
the command to the last, or first, sound that a viewer hears. `encodes_per_frame`: five viewers and
sinks of three codecs, the most that any codec was encoded for one picture.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from benchmarks import barge_in, obs_alpha, offsets
from benchmarks.encodes import encodes_per_frame
from benchmarks.live import browsers_skew_ms
from benchmarks.owned import Owned, pcm_beeps
from benchmarks.report import Figures, report
from benchmarks.timing import Seen, base_s, figures_of, percentile
from tests.peers import rtmp, srt
from tests.peers.browser import browser_page, picture_shown, probe
from tests.peers.media import read
from tests.peers.real_server import RealServer, real_server
from tests.peers.whip import Receiver, whip_server

SETTLE_S = 25.0  # the browser's audio-video synchronisation needs this long
REST = ("offsets", "encodes", "barge_in", "alpha")
SINKS = ("browser", "obs", "whep", "whip", "rtmp", "srt", "recording")


async def whep(owned: Owned, seconds: float) -> Seen:
    async with owned.receiver() as receiver:
        await receiver.until_pictures(5)
        await asyncio.sleep(seconds)
        return Seen.of(receiver.reception)


async def whip(owned: Owned, seconds: float) -> Seen:
    async with whip_server() as server:
        await owned.command(type="sink_open", kind="whip", id="whip", url=server.url)
        receiver: Receiver = await server.until_published()
        await receiver.until_pictures(5)
        await asyncio.sleep(seconds)
        await owned.command(type="sink_close", id="whip")
        return Seen.of(receiver.reception)


async def push(owned: Owned, seconds: float) -> Seen:
    with rtmp.rtmp_server() as server:
        await owned.command(type="sink_open", kind="rtmp", id="rtmp", url=server.url)
        reception = await asyncio.to_thread(rtmp.pull, server.url, seconds)
        await owned.command(type="sink_close", id="rtmp")
    return Seen.of(reception)


async def call(owned: Owned, seconds: float) -> Seen:
    with srt.listener() as server:
        await owned.command(type="sink_open", kind="srt", id="srt", url=server.url)
        reception = await asyncio.to_thread(server.pull, seconds)
        await owned.command(type="sink_close", id="srt")
    return Seen.of(reception)


async def recording(owned: Owned, seconds: float, folder: Path) -> Seen:
    """Latency: how old the newest picture is that a reader finds in the growing file."""
    await owned.command(type="sink_open", kind="recording", id="recording")
    arrivals = []
    path = None
    for _ in range(max(int(seconds / 3), 2)):
        await asyncio.sleep(3.1)
        files = await asyncio.to_thread(lambda: list(folder.glob("*.mp4")))
        if files:
            path, at_s = files[0], time.monotonic()
            partial = await asyncio.to_thread(read, path)
            arrivals += [(partial.numbers[-1], at_s)] if partial.numbers else []
    await owned.command(type="sink_close", id="recording")
    assert path is not None, "nothing was recorded"
    seen = Seen.of(await asyncio.to_thread(read, path))
    seen.arrivals = arrivals
    return seen


async def in_browser(url: str, seconds: float) -> tuple[Seen, list[float]]:
    """What a page shows, and the browser's own estimate of its skew, once a second."""
    async with browser_page(url) as page:
        await picture_shown(page)
        await probe(page, "start()")
        await asyncio.sleep(SETTLE_S)
        await page.evaluate("() => { __probe.frames.length = 0; }")
        skews = await browsers_skew_ms(page, seconds)
        frames = await probe(page, "frames")
        origin_s = await page.evaluate("performance.timeOrigin / 1000")
    shift_s = origin_s - (time.time() - time.monotonic())
    seen = Seen()
    for frame in frames:
        if frame["pts"] is not None:
            at_s = frame["time"] / 1000 + shift_s
            seen.pictures.append((frame["pts"], at_s, frame["flash"]))
            seen.arrivals.append((frame["pts"], at_s))
    return seen, skews


@asynccontextmanager
async def beeping(server: RealServer) -> AsyncIterator[tuple[Owned, Callable[[], float]]]:
    """A session that beeps, and how to know when the sound of picture 0 entered."""
    owned = await Owned.create(server)
    async with pcm_beeps(owned) as entered_s:
        reference = await whep(owned, 6)
        try:
            yield owned, lambda: base_s(reference, entered_s)
        finally:
            await owned.end()


async def sinks(server: RealServer, seconds: float, folder: Path, wanted: list[str]) -> Figures:
    figures: Figures = {}
    async with beeping(server) as (owned, base):
        for sink, page in (("browser", owned.studio_url), ("obs", owned.obs_url)):
            if sink in wanted:
                seen, skews = await in_browser(page, seconds)
                figures |= figures_of(sink, seen, base())
                figures[f"{sink}_skew_ms_p95"] = percentile([abs(s) for s in skews], 95)
        if "whep" in wanted:
            figures |= figures_of("whep", await whep(owned, seconds), base())
        if "whip" in wanted:
            figures |= figures_of("whip", await whip(owned, seconds), base())
        for sink, missing, receive in (
            ("rtmp", rtmp.missing(), push),
            ("srt", srt.missing(), call),
        ):
            if sink in wanted and missing:
                figures[sink] = missing
            elif sink in wanted:
                figures |= figures_of(sink, await receive(owned, seconds), base())
        if "recording" in wanted:
            figures |= figures_of("recording", await recording(owned, seconds, folder), base())
    return figures


async def run(options: argparse.Namespace) -> Figures:
    wanted = options.only.split(",") if options.only else [*SINKS, *REST]
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "recordings"
        config = {
            "engine": {"name": "testcard", "size_px": 256},
            "limits": {"sessions": 4, "heartbeat_s": 30.0},
            "paths": {"cache": name, "recordings": str(folder)},
        }
        with real_server(**config) as server:
            if set(wanted) & set(SINKS):
                figures |= await sinks(server, options.seconds, folder, wanted)
            if "offsets" in wanted:
                figures |= await offsets.figures(server)
            if "encodes" in wanted:
                figures["encodes_per_frame"] = await encodes_per_frame(server)
    if "barge_in" in wanted:
        figures |= await barge_in.heard(options.repeats, "testcard")
    if "alpha" in wanted:
        figures |= await alpha_figures()
    return figures


async def alpha_figures() -> Figures:
    truth = obs_alpha.Truth.of("nia", 512)
    with real_server(engine={"size_px": 512, "portrait": "nia"}) as server:
        async with obs_alpha.obs_page(server, 512, motion_scale=0) as (page, _):
            found = obs_alpha.compare(await obs_alpha.seen(page), truth)
    return {name: round(float(value or 0), 2) for name, value in found.items()
            if name in ("obs_alpha_background_max", "obs_alpha_edge_error")}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--only", help=f"some of {','.join((*SINKS, *REST))}")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = asyncio.run(run(options))
    assert np.isfinite([v for v in figures.values() if isinstance(v, float)]).all()
    report(f"Ways out, {options.seconds:g} s each", figures, options.json)


if __name__ == "__main__":
    main()
