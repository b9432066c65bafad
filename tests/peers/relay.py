"""A real TURN server (coturn) on loopback."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.peers.rtmp import free_port, wait_for_port


def missing() -> str:
    """Why there is no TURN server here; "" when there is one."""
    if shutil.which("turnserver") is None:
        return "turnserver is not installed (Debian: coturn)"
    return ""


@dataclass(frozen=True)
class TurnServer:
    port: int
    username: str = "ann"
    password: str = 'a "quoted" secret'


@contextmanager
def turn_server() -> Iterator[TurnServer]:
    server = TurnServer(free_port())
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            ["turnserver", "-n", "--no-cli", "--no-tls", "--no-dtls", "--allow-loopback-peers",
             f"--listening-port={server.port}", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1",
             "--lt-cred-mech", "--realm=test", f"--user={server.username}:{server.password}",
             f"--pidfile={folder}/pid", "--log-file=stdout", f"--userdb={folder}/db"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
        try:
            wait_for_port(server.port)
            yield server
        finally:
            process.kill()
            process.wait()
