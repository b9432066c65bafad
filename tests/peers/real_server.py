"""The real server in a process of its own, on loopback, as production runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class RealServer:
    url: str
    process: subprocess.Popen[str]

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            data: bytes = answer.read()
        return data

    def sessions(self) -> list[dict[str, Any]]:
        listing: list[dict[str, Any]] = json.loads(self.get("/api/sessions"))
        return listing

    def workers(self) -> list[int]:
        """Process ids of its workers, the oldest first."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
                command = (stat.parent / "cmdline").read_bytes()
            except OSError:
                continue
            if parent == self.process.pid and b"avatar_server.worker" in command:
                found.append(int(stat.parent.name))
        return sorted(found)


Section = Mapping[str, object] | list[dict[str, object]]


def to_toml(sections: Mapping[str, Section]) -> str:
    parts = []
    for name, body in sections.items():
        tables = body if isinstance(body, list) else [body]
        title = f"[[{name}]]" if isinstance(body, list) else f"[{name}]"
        for table in tables:
            lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
            parts.append("\n".join([title, *lines]))
    return "\n".join(parts) + "\n"


@contextmanager
def real_server(**sections: Section) -> Iterator[RealServer]:
    """Start with the given sections over test defaults; killed at the end, whatever happened."""
    with tempfile.TemporaryDirectory() as folder:
        config: dict[str, Section] = {
            "server": {"port": 0, "drain_s": 1.0} | dict(sections.get("server", {})),
            "media": {"host_addresses": ["127.0.0.1"]} | dict(sections.get("media", {})),
            "paths": {"cache": f"{folder}/cache", "recordings": f"{folder}/recordings"},
        } | {k: v for k, v in sections.items() if k not in ("server", "media")}
        path = Path(folder) / "server.toml"
        path.write_text(to_toml(config))
        process = subprocess.Popen(
            [sys.executable, "-m", "avatar_server", "--config", str(path)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        try:
            yield RealServer(_wait_for_url(process), process)
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stderr is not None:
                process.stderr.close()


def _wait_for_url(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    log, deadline_s = [], time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s and (line := process.stderr.readline()):
        log.append(line)
        if "open http://" in line:
            _drain(process)
            return line.split("open ")[1].split("/ ")[0].replace("localhost", "127.0.0.1")
    raise RuntimeError("the server did not start:\n" + "".join(log))


def _drain(process: subprocess.Popen[str]) -> None:
    """Keep the pipe from filling up."""
    import threading

    def read() -> None:
        assert process.stderr is not None
        for _ in process.stderr:
            pass

    threading.Thread(target=read, daemon=True).start()
