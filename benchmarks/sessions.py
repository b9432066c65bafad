"""Several sessions at once, each speaking and each watched: processors, memory, lateness.

    python -m benchmarks.sessions --sessions 1,2,4,6 --json FILE

Each session has a portrait of its own (of the three that there are, in turn), plays a voice, and is
watched by a WebRTC peer that receives everything and decodes nothing. `skew_ms_p95` is the server's
own figure, of the worst session: how much later a picture left than its sound. `late_ms_p95`, as
received: how far a picture came behind the rhythm of the most punctual ones.

Memory is the proportional set size (what processes share is counted once) of the server and its
workers. `--streams 1`: a process per session; 0: as many in one as the server finds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Figures, report
from benchmarks.sounds import voice, write_wav
from tests.peers.clients import Control, accept, heartbeat, studio, viewer
from tests.peers.real_server import RealServer, real_server
from tests.peers.rest import call

SETTLE_S = 4.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
RTP_HZ = 90_000


@dataclass
class Watched:
    """A session's pictures as they arrive, (RTP stamp, monotonic time) each, and what the server
    says of it."""

    pictures: list[tuple[int, float]] = field(default_factory=list)
    stats: dict[str, Any] = field(default_factory=dict)
    drops_before: int = 0

    def begin(self) -> None:
        self.pictures.clear()
        self.drops_before = self.stats["drops"]

    @property
    def fps(self) -> float:
        if len(self.pictures) < 2:
            return 0.0
        (first, _), (last, _) = self.pictures[0], self.pictures[-1]
        return (len(self.pictures) - 1) * RTP_HZ / (last - first)

    @property
    def late_ms(self) -> list[float]:
        offsets = np.array([1000 * (at_s - stamp / RTP_HZ) for stamp, at_s in self.pictures])
        return list(offsets - offsets.min())


def memory_mib(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in fields if line.startswith("Pss:")) / 1024


def cpu_s(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


async def attend(client: Control, watched: Watched) -> None:
    while True:
        message = json.loads(await client.socket.recv())
        if message["type"] == "stats":
            watched.stats = message


@asynccontextmanager
async def speaking(server: RealServer, portrait: int, sound: bytes) -> AsyncIterator[Watched]:
    """A session that speaks and is watched for as long as the block lasts."""
    async with studio(server.url) as (client, welcome), viewer("vp8") as (peer, offer):
        place, token = "/api/files?name=voice.wav", welcome["resume"]
        _, file = await asyncio.to_thread(call, server, "POST", place, sound, token)
        await client.send("portrait", id=welcome["portraits"][portrait]["id"])
        await client.send("set", loop=True)
        await client.send("play", file=file["id"])
        await client.send("offer", sdp=offer)
        watched = Watched()
        receive(peer.getTransceivers()[1].receiver, watched)
        await accept(peer, (await client.expect("answer"))["sdp"])
        async with heartbeat(client):
            attending = asyncio.create_task(attend(client, watched))
            try:
                yield watched
            finally:
                attending.cancel()
                await asyncio.gather(attending, return_exceptions=True)


def receive(receiver: Any, watched: Watched) -> None:
    """A picture ends with its marked packet; nothing is decoded."""

    async def note(packet: Any, arrival_time_ms: int) -> None:
        if packet.marker:
            watched.pictures.append((packet.timestamp, time.monotonic()))

    receiver._handle_rtp_packet = note


async def measure(count: int, options: argparse.Namespace, sound: bytes) -> Figures:
    settings = {} if options.streams is None else {"streams": options.streams}
    sections: dict[str, Any] = {
        "engine": {"size_px": options.size}, "engine.settings": settings,
        "limits": {"sessions": count},
    }  # fmt: skip
    with real_server(**sections) as server:
        async with AsyncExitStack() as stack:
            sessions = []
            for index in range(count):
                portrait = 0 if options.same else index % 3
                sessions.append(await stack.enter_async_context(speaking(server, portrait, sound)))
                await asyncio.sleep(options.apart_s)
            await asyncio.sleep(SETTLE_S)
            return await observed(server, sessions, options.seconds)


async def observed(server: RealServer, sessions: list[Watched], seconds: float) -> Figures:
    for watched in sessions:
        watched.begin()
    workers = server.workers()
    processes = [server.process.pid, *workers]
    before_s, used_s = time.monotonic(), [cpu_s(pid) for pid in processes]
    await asyncio.sleep(seconds)
    passed_s = time.monotonic() - before_s
    cores = [(cpu_s(pid) - used) / passed_s for pid, used in zip(processes, used_s, strict=True)]
    memory = [memory_mib(pid) for pid in processes]
    return {
        "worker_processes": len(workers),
        "server_cores": round(cores[0], 3),
        "worker_cores": round(sum(cores[1:]), 3),
        "busiest_worker_cores": round(max(cores[1:]), 3),
        "memory_mib": round(sum(memory), 1),
        "worker_memory_mib": round(sum(memory[1:]), 1),
        "fps_min": round(min(watched.fps for watched in sessions), 2),
        "skew_ms_p95": max(w.stats["skew_ms"] or 0.0 for w in sessions),
        "late_ms_p95": round(max(np.percentile(w.late_ms, 95) for w in sessions if w.fps), 1),
        "dropped": sum(w.stats["drops"] - w.drops_before for w in sessions),
    }


def table(rows: dict[int, Figures]) -> Figures:
    """Flat, and what each session beyond the fewest takes."""
    figures: Figures = {
        f"{n}_{name}": value for n, row in rows.items() for name, value in row.items()
    }
    fewest = min(rows)
    for count, row in rows.items():
        if count > fewest:
            more = float(row["memory_mib"] or 0) - float(rows[fewest]["memory_mib"] or 0)
            figures[f"{count}_memory_mib_per_extra_session"] = round(more / (count - fewest), 1)
    return figures


async def run(options: argparse.Namespace) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "voice.wav"
        write_wav(path, voice(20))
        sound = path.read_bytes()
    counts = [int(count) for count in options.sessions.split(",")]
    return table({count: await measure(count, options, sound) for count in counts})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", default="1,2,4,6")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--streams", type=int, help="sessions a process hosts (0: as many as fit)")
    parser.add_argument("--same", action="store_true", help="one portrait for all")
    parser.add_argument("--apart-s", type=float, default=1.0, help="between two sessions' begin")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    title = f"Sessions at once, {options.size} px, {options.seconds:g} s each"
    report(title, asyncio.run(run(options)), options.json)


if __name__ == "__main__":
    main()
