"""A sink's own offset, in the file that it wrote."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from tests.peers.clients import control
from tests.peers.media import read
from tests.peers.real_server import real_server


@pytest.mark.parametrize("offset_ms", [-150, 150])
async def test_a_recording_has_the_offset_of_its_own(tmp_path: Path, offset_ms: int) -> None:
    paths = {"cache": str(tmp_path), "recordings": str(tmp_path / "recordings")}
    with real_server(engine={"name": "testcard", "size_px": 256}, paths=paths) as server:
        async with control(server.url) as client:
            await client.send("hello", calibrate=True)
            await client.expect("welcome")
            await client.send("sink_open", kind="recording", id="file")
            await client.send("sink_offset", id="file", offset_ms=offset_ms)
            await client.send("sink_open", kind="recording", id="other")
            for _ in range(14):
                await client.send("ping", t=0)
                await asyncio.sleep(1)
            for ident in ("file", "other"):
                await client.send("sink_close", id=ident)
            await client.expect("state", sinks=[], timeout_s=15)
            await asyncio.sleep(1)
    medians = []
    for path in sorted((tmp_path / "recordings").glob("*.mp4")):
        received = read(path)
        assert np.diff([p.time_s for p in received.pictures]).min() > 0.03, "none jumps back"
        medians.append(float(np.median(received.skews_ms()[-4:])))
    medians.sort(key=abs)
    assert len(medians) == 2
    assert medians[0] == pytest.approx(0, abs=21)
    assert medians[1] == pytest.approx(offset_ms, abs=25)
