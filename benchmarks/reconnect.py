"""Sessions come and go: do memory, threads, descriptors and children of the server stay flat?

    python -m benchmarks.reconnect --cycles 50 --json FILE

Each cycle: a studio connects, chooses the next portrait, watches pictures over WebRTC, and leaves;
the next one begins when the session has ended. Worker processes are used again.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

from benchmarks.report import Figures, report
from tests.peers.clients import accept, studio, viewer
from tests.peers.real_server import RealServer, real_server


def status(process_id: int) -> dict[str, str]:
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines)


def rss_mib(process_id: int) -> float:
    return int(status(process_id)["VmRSS"].split()[0]) / 1024


def usage(server: RealServer) -> dict[str, float]:
    process_id = server.process.pid
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    return {
        "rss_mib": rss_mib(process_id),
        "workers_rss_mib": sum(rss_mib(worker) for worker in server.workers()),
        "threads": int(status(process_id)["Threads"]),
        "descriptors": len(list(Path(f"/proc/{process_id}/fd").iterdir())),
        "children": len(children),
    }


async def cycle(server: RealServer, index: int) -> float:
    """Milliseconds from hello to the first decoded picture."""
    started_s = time.monotonic()
    async with studio(server.url) as (client, welcome), viewer() as (peer, offer):
        portraits = welcome["portraits"]
        await client.send("portrait", id=portraits[index % len(portraits)]["id"])
        await client.send("offer", sdp=offer)
        await accept(peer, (await client.expect("answer"))["sdp"])
        await asyncio.wait_for(peer.getTransceivers()[1].receiver.track.recv(), 15)
        first_ms = 1000 * (time.monotonic() - started_s)
    while await asyncio.to_thread(server.sessions):
        await asyncio.sleep(0.1)
    return first_ms


async def run(cycles: int) -> Figures:
    with real_server(limits={"heartbeat_s": 1.0}) as server:
        first_ms = []
        for index in range(cycles):
            first_ms.append(await cycle(server, index))
            if index == min(10, cycles // 2):  # by then every lazy part is loaded
                before = usage(server)
        await asyncio.sleep(2)
        after = usage(server)
    figures: Figures = {"cycles": cycles, "first_picture_ms_p50": sorted(first_ms)[cycles // 2]}
    for name, value in after.items():
        figures[f"{name}_end"] = value
        figures[f"{name}_growth"] = value - before[name]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report("Reconnection", asyncio.run(run(options.cycles)), options.json)


if __name__ == "__main__":
    main()
