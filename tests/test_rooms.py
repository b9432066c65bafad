"""The import order of the rooms, read from the sources: each room only knows those before it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = [
    "sonic_stream.media",
    "sonic_stream.windows",
    "sonic_stream.smoothing",
    "sonic_stream.resample",
    "sonic_stream.engine",
    "sonic_stream.portrait",
    "sonic_stream.avatars",
    "sonic_stream.engines",
    "sonic_stream.prepare",
    "sonic_stream.recording",
    "sonic_stream.generate",
    "sonic_stream.training",
    "avatar_server.clock",
    "avatar_server.errors",
    "avatar_server.children",
    "avatar_server.config",
    "avatar_server.protocol",
    "avatar_server.playout",
    "avatar_server.captions",
    "avatar_server.rolling",
    "avatar_server.metrics",
    "avatar_server.worker",
    "avatar_server.rtc",
    "avatar_server.sources",
    "avatar_server.voice",
    "avatar_server.sinks",
    "avatar_server.stats",
    "avatar_server.session",
    "avatar_server.tokens",
    "avatar_server.sessions",
    "avatar_server.calibration",
    "avatar_server.profiles",
    "avatar_server.portraits",
    "avatar_server.backgrounds",
    "avatar_server.files",
    "avatar_server.server",
    "avatar_server.control",
    "avatar_server.outbox",
    "avatar_server.signalling",
    "avatar_server.osc",
    "avatar_server.requests",
    "avatar_server.session_api",
    "avatar_server.pcm_socket",
    "avatar_server.http_api",
    "avatar_server.guard",
    "avatar_server.app",
    "avatar_server.doctor",
    "avatar_server.remote",
    "avatar_server.commands",
    "avatar_server.cli",
]
# What the streaming half must not know: loops, sockets, clocks.
FORBIDDEN_BELOW = {"asyncio", "aiortc", "socket", "websockets", "fastapi", "uvicorn", "threading"}
FILES = sorted([*ROOT.glob("sonic_stream/**/*.py"), *ROOT.glob("avatar_server/**/*.py")])


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> int | None:
    """The room's place; None for the packages' own `__init__` and `__main__`."""
    places = [i for i, room in enumerate(ROOMS) if module == room or module.startswith(room + ".")]
    return places[0] if places else None


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_each_room_knows_only_those_before_it(path: Path) -> None:
    here = room_of(module_of(path))
    if here is None:
        assert path.name in ("__init__.py", "__main__.py")
        return
    for name in imports(path):
        there = room_of(name)
        assert there is None or there <= here, f"{module_of(path)} must not import {name}"
        if ROOMS[here].startswith("sonic_stream"):
            assert name.split(".")[0] not in FORBIDDEN_BELOW | {"avatar_server"}, name
        # Durations may be measured anywhere; the time of day and of waiting may not.
        if name.split(".")[0] == "time" and module_of(path) != "avatar_server.clock":
            durations = {"time.perf_counter", "time.thread_time"}
            assert imports(path) & durations, "wall time is read in clock.py alone"
            assert name in durations | {"time"}, name
