"""The manual clock wakes sleepers in order, and only when they are due."""

import asyncio

from avatar_server.clock import ManualClock, MonotonicClock


async def test_sleepers_wake_in_order_at_their_time() -> None:
    clock, woken = ManualClock(10.0), []

    async def sleeper(name: str, at_s: float) -> None:
        await clock.sleep_until_s(at_s)
        woken.append((name, clock.now_s()))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("late", 12.0))
        group.create_task(sleeper("early", 11.0))
        group.create_task(sleeper("past", 3.0))
        await asyncio.sleep(0.01)
        assert woken == [("past", 10.0)]
        await clock.advance(5.0)
    assert woken[1:] == [("early", 11.0), ("late", 12.0)]
    assert clock.now_s() == 15.0


async def test_the_real_clock_never_wakes_early() -> None:
    clock = MonotonicClock()
    deadline_s = clock.now_s() + 0.02
    await clock.sleep_until_s(deadline_s)
    assert clock.now_s() >= deadline_s - 1e-3
