"""What every sink that is opened by a command must keep to, whatever it does with its media.

A test module gives a `Case` for its sink and calls `check_contract`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from time import perf_counter

import pytest

from avatar_server.sinks.base import Feed, Sink
from avatar_server.sinks.child import ChildSink
from sonic_stream.media import MediaPacket
from tests.avatar_server.sinks.session import SmallSession

CLOSE_LIMIT_S = 6.0
ODD = MediaPacket("theora", b"\0" * 100, 0, Fraction(1, 25), keyframe=True)


@dataclass(frozen=True)
class Case:
    """`make` opens the sink where it works."""

    make: Callable[[Feed], Sink]


async def check_contract(case: Case) -> None:
    await _lives_and_ends(case)
    await _ends_at_once(case)
    await _survives_a_stuck_child(case)


async def nothing_is_left(before: set[asyncio.Task[object]]) -> None:
    """What a library ends by itself may take a moment."""
    for _ in range(20):
        if (left := asyncio.all_tasks() - before) == set():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(left)


async def _lives_and_ends(case: Case) -> None:
    before = asyncio.all_tasks()
    session = SmallSession()
    sink = case.make(session.feed)
    session.sinks.append(sink)
    assert sink.status()["state"] == "starting"
    sink.send_picture(ODD)  # nobody's codec: ignored
    await session.until(sink, "live")
    await session.run(0.5)
    status = json.loads(json.dumps(sink.status()))
    assert status["state"] == "live" and status["reason"] == "" and "target" in status
    start_s = perf_counter()
    await asyncio.gather(sink.close(), sink.close())
    await sink.close()
    assert perf_counter() - start_s < CLOSE_LIMIT_S
    assert sink.status()["state"] == "closed"
    assert sink.codecs == frozenset()
    session.tick()  # late media do no harm
    assert not [code for code, _ in session.notices if code != "sink_live"]
    await nothing_is_left(before)


async def _ends_at_once(case: Case) -> None:
    """Closed before it came to anything, and before its task began to run."""
    before = asyncio.all_tasks()
    for pause_s in (None, 0.05):
        session = SmallSession()
        sink = case.make(session.feed)
        if pause_s is not None:
            await asyncio.sleep(pause_s)
        async with asyncio.timeout(CLOSE_LIMIT_S):
            await sink.close()
        assert sink.status()["state"] == "closed"
    await nothing_is_left(before)


async def _survives_a_stuck_child(case: Case) -> None:
    """A child that stands still: nothing waits for it, what waits for it is bounded, and
    closing ends it."""
    session = SmallSession()
    sink = case.make(session.feed)
    if not isinstance(sink, ChildSink):
        await sink.close()
        return
    session.sinks.append(sink)
    await session.until(sink, "live")
    pid = sink.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    noise = MediaPacket(next(iter(sink.codecs), ""), os.urandom(500_000), 10**6, Fraction(1, 25),
                        keyframe=True)  # fmt: skip
    for _ in range(200):
        sink.send_picture(noise)
    await session.run(10.0, pace=1e9)
    assert sink.waiting_bytes < 2 * sink.queue_bytes + 600_000
    await sink.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def check_a_killed_child(case: Case, state: str) -> None:
    """It ends by itself: the session hears why, and the sink is in `state`."""
    session = SmallSession()
    sink = case.make(session.feed)
    assert isinstance(sink, ChildSink)
    session.sinks.append(sink)
    await session.until(sink, "live")
    assert sink.pid is not None
    os.kill(sink.pid, signal.SIGKILL)
    await session.until(sink, state)
    assert sink.status()["reason"]
    assert session.notices and session.notices[0][0] == f"sink_{state}"
    await sink.close()
