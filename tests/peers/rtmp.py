"""A real RTMP server (nginx with its rtmp module) on loopback, and a player that pulls from it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av

from tests.peers.media import Reception, read

MODULES = [
    Path(folder) / "ngx_rtmp_module.so"
    for folder in ("/usr/lib/nginx/modules", "/usr/share/nginx/modules", "/usr/lib64/nginx/modules")
]
CONFIG = """
load_module {module};
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log warn;
events {{ worker_connections 64; }}
rtmp {{
  server {{
    listen 127.0.0.1:{port};
    chunk_size 4096;
    application live {{ live on; wait_key on; wait_video on; }}
    application closed {{ live on; deny publish all; }}
  }}
}}
"""


def missing() -> str:
    """Why there is no RTMP server here; "" when there is one."""
    if shutil.which("nginx") is None and not Path("/usr/sbin/nginx").exists():
        return "nginx is not installed (Debian: nginx-light libnginx-mod-rtmp)"
    if not any(module.exists() for module in MODULES):
        return "nginx has no rtmp module here (Debian: libnginx-mod-rtmp)"
    return ""


@dataclass
class RtmpServer:
    """`url` takes streams; below `closed_url` publishing is denied."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"rtmp://127.0.0.1:{self.port}/live/key"

    @property
    def closed_url(self) -> str:
        return f"rtmp://127.0.0.1:{self.port}/closed/key"


@contextmanager
def rtmp_server(port: int | None = None) -> Iterator[RtmpServer]:
    port = port or free_port()
    with tempfile.TemporaryDirectory() as folder:
        module = next(module for module in MODULES if module.exists())
        config = Path(folder) / "nginx.conf"
        config.write_text(CONFIG.format(module=module, folder=folder, port=port))
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        process = subprocess.Popen(
            [program, "-p", folder, "-c", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for_port(port)
            yield RtmpServer(port, process)
        finally:
            process.kill()
            process.wait()


def pull(url: str, seconds: float, patience_s: float = 15.0) -> Reception:
    """Play a stream, from when it is there, for so many seconds. Blocks."""
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            return read(url, seconds, rtmp_live="live", analyzeduration="3000000")
        except (av.FFmpegError, LookupError):
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.3)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for_port(port: int, timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)
