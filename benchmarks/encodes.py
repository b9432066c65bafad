"""How often a picture is encoded when five watch: once for each codec and rung, it must be."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from benchmarks.owned import Owned
from tests.peers.clients import control
from tests.peers.real_server import RealServer

VIEWERS = (("", "vp8"), ("", "vp8"), ("", "h264"), ("?alpha=true", "vp8"))
SECONDS = 6


async def encodes_per_frame(server: RealServer) -> float:
    """Two VP8 viewers, one of H.264, one with alpha, and a recording in H.264: the most that any
    codec was encoded for one picture."""
    owned = await Owned.create(server)
    try:
        async with AsyncExitStack() as stack:
            for query, codec in VIEWERS:
                receiver = await stack.enter_async_context(owned.receiver(query, codec))
                await receiver.until_pictures(2)
            await owned.command(type="sink_open", kind="recording", id="recording")
            async with control(server.url) as client:
                await client.send("hello", role="viewer", session=owned.ident)
                await asyncio.sleep(4)
                counts = [(await client.expect("stats"))["encodes"] for _ in range(SECONDS)]
            await owned.command(type="sink_close", id="recording")
    finally:
        await owned.end()
    made = {name: counts[-1][name] - counts[0].get(name, 0) for name in counts[-1]}
    frames = made.pop("frames")
    assert len(made) >= 3, f"not all codecs are watched: {made}"
    return round(max(made.values()) / frames, 3)
