"""Child processes: how each of them is ended."""

from __future__ import annotations

import asyncio
import contextlib


async def end(process: asyncio.subprocess.Process) -> None:
    """Kill it if it still runs, and wait until it is gone and its pipes are read to the end."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.communicate()
