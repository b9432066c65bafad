"""The real server with the large engine: chosen, refused, and shown to a real viewer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.peers.clients import accept, studio, viewer
from tests.peers.real_server import real_server

TINY = {
    "weights": "random-reduced", "device": "cpu", "steps": 1, "hop": 2, "context": 1,
    "overlap": 0, "refresh": 0, "streams": 2,
}  # fmt: skip


async def test_auto_falls_back_and_says_why() -> None:
    sections = {"engine": {"name": "auto", "size_px": 256}, "engine.settings": {"weights": "/none"}}
    with real_server(**sections) as server:
        async with studio(server.url) as (_, welcome):
            assert welcome["engine"] == "lite"
            (notice,) = welcome["notices"]
            assert notice["code"] == "engine"
            assert "sonic" in notice["message"]


async def test_a_viewer_sees_the_diffusion_engine() -> None:
    pytest.importorskip("diffusers", reason="the extra `sonic` is not installed")
    sections = {"engine": {"name": "sonic", "size_px": 128}, "engine.settings": TINY}
    with real_server(**sections) as server:
        async with studio(server.url) as (client, welcome), viewer() as (peer, offer):
            assert welcome["engine"] == "sonic"
            assert welcome["latency_ms"] == 240 + 40
            await client.send("offer", sdp=offer)
            await accept(peer, (await client.expect("answer"))["sdp"])
            track = next(r.track for r in peer.getReceivers() if r.track.kind == "video")
            frames = asyncio.create_task(first(track, 4))
            async with asyncio.timeout(60):
                while not frames.done():
                    await client.send("ping", t=0)  # a session that nobody speaks to ends
                    await asyncio.wait([frames], timeout=1.0)
            assert {frame.width for frame in await frames} == {128}
            async with studio(server.url):
                assert len(server.sessions()) == 2
                assert len(server.workers()) == 1  # with one copy of the weights


async def first(track: Any, count: int) -> list[Any]:
    return [await track.recv() for _ in range(count)]
