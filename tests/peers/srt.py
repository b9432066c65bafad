"""A real SRT server on loopback: srt-live-transmit, which listens and writes what it gets."""

from __future__ import annotations

import ctypes
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from avatar_server.sinks import srt_socket
from tests.peers.media import Reception, read

STREAM_ID = 46
TIMEOUT_MS = 10_000
RCVTIMEO = 14


def missing() -> str:
    """Why there is no SRT here; "" when there is."""
    if shutil.which("srt-live-transmit") is None:
        return "srt-live-transmit is not installed (Debian: srt-tools)"
    try:
        srt_socket.load()
    except OSError as error:
        return str(error)
    return ""


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass
class Listener:
    """What it gets can be read from `process.stdout`, or lies in the file that was named."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"srt://127.0.0.1:{self.port}"

    def pull(self, seconds: float) -> Reception:
        """Play for so many seconds. Blocks."""
        return read(self.process.stdout, seconds, analyzeduration="1000000")


@contextmanager
def listener(
    path: Path | None = None, port: int | None = None, options: str = ""
) -> Iterator[Listener]:
    """One after the other may connect to it. `options` as in an address: &passphrase=…"""
    port = port or free_udp_port()
    out = path.open("ab") if path is not None else subprocess.PIPE
    process = subprocess.Popen(
        ["srt-live-transmit", "-q", f"srt://127.0.0.1:{port}?mode=listener{options}", "file://con"],
        stdout=out,
        bufsize=0,  # a reader has what is there, not only full buffers
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Listener(port, process)
    finally:
        process.terminate()  # what it has not yet written is written
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for file in (process.stdout, out):
            if file is not None and not isinstance(file, int):
                file.close()


def accepted_stream_id(port: int, enough: threading.Event) -> str:
    """What the next to connect has for a stream id. Stays connected until it is enough; blocks,
    ten seconds at most for each."""
    library = srt_socket.load()
    library.srt_startup()
    name = srt_socket.packed_address(socket.AF_INET, ("127.0.0.1", port))
    listening = library.srt_create_socket()
    try:
        timeout = ctypes.c_int(TIMEOUT_MS)
        library.srt_setsockflag(listening, RCVTIMEO, ctypes.byref(timeout), 4)
        assert library.srt_bind(listening, name, len(name)) == 0
        assert library.srt_listen(listening, 1) == 0
        taken = library.srt_accept(listening, None, None)
        assert taken > 0, library.srt_getlasterror_str()
        value, size = ctypes.create_string_buffer(513), ctypes.c_int(512)
        assert library.srt_getsockflag(taken, STREAM_ID, value, ctypes.byref(size)) == 0
        enough.wait(TIMEOUT_MS / 1000)
        return value.value.decode()
    finally:
        library.srt_close(listening)
        library.srt_cleanup()
