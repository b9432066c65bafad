"""An SRT connection, as a file that is only written. Blocks; it runs in a child process.

libsrt (MPL-2.0) is the system's own, loaded when it is first needed: PyAV's wheels have none. Its
C interface has been the same since 1.4.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import socket
import struct
import sys
import threading

from avatar_server.sinks import srt
from avatar_server.sinks.child_process import ChildFailed

NAMES = ("srt", "srt-gnutls", "srt-openssl")
MISSING = (
    "SRT needs the library libsrt; on Debian and Ubuntu: apt install srt-tools, "
    "on macOS: brew install srt"
)
MESSAGE = 1316  # bytes: seven packets of a transport stream
LOG_CRITICAL = 2
LINGER, LINGER_S = 7, 1  # what was written is sent before the connection is closed
PEER_LATENCY, LONGEST_END_S = 44, 1.5
CONNECTED = 5  # SRTS_CONNECTED
NO_ANSWER, REJECTED = 1001, 1002  # SRT_ENOSERVER, SRT_ECONNREJ
# Of srt.h and of access-control: reasons with which another try would end the same.
FINAL = {
    10: "the passphrase is not the other side's",
    11: "one side wants a passphrase and the other does not",
    1400: "the other side does not understand the stream id",
    1401: "the other side wants a user and password in the stream id",
    1403: "the other side does not let this stream id in",
    1404: "the other side does not know this stream id",
}
PASSING = {1409: "somebody else publishes there under this stream id"}


def load() -> ctypes.CDLL:
    """Raises `OSError` where there is no libsrt."""
    for name in NAMES:
        if path := ctypes.util.find_library(name):
            library = ctypes.CDLL(path)
            library.srt_getlasterror_str.restype = ctypes.c_char_p
            library.srt_rejectreason_str.restype = ctypes.c_char_p
            return library
    raise OSError(MISSING)


class SrtSocket:
    """Connected once it is made. Every method may raise `ChildFailed`."""

    def __init__(self, url: str) -> None:
        address = srt.parse(url)
        try:
            self._srt = load()
        except OSError as error:
            raise ChildFailed(MISSING, final=True) from error
        self._srt.srt_startup()
        self._srt.srt_setloglevel(LOG_CRITICAL)
        self._socket = self._srt.srt_create_socket()
        self._set(LINGER, struct.pack("=ii", 1, LINGER_S))
        for number, value in address.options:
            self._set(number, value)
        self._connect(address)

    def write(self, data: bytes) -> int:
        for start in range(0, len(data), MESSAGE):
            piece = bytes(data[start : start + MESSAGE])
            if self._srt.srt_sendmsg2(self._socket, piece, len(piece), None) < 0:
                raise ChildFailed(f"the connection was lost ({self._problem()})")
        return len(data)

    def close(self) -> None:
        """The other side shows what it has after the latency, and forgets it when we are gone."""
        if self._srt.srt_getsockstate(self._socket) == CONNECTED:
            latency_ms, size = ctypes.c_int(0), ctypes.c_int(ctypes.sizeof(ctypes.c_int))
            self._srt.srt_getsockflag(
                self._socket, PEER_LATENCY, ctypes.byref(latency_ms), ctypes.byref(size)
            )
            threading.Event().wait(min(latency_ms.value / 1000, LONGEST_END_S))
        self._srt.srt_close(self._socket)
        self._srt.srt_cleanup()

    def _connect(self, address: srt.SrtAddress) -> None:
        try:
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
        except OSError as error:
            raise ChildFailed(f"there is no such host ({error.strerror})") from error
        name = packed_address(found[0][0], found[0][4])
        if self._srt.srt_connect(self._socket, name, len(name)) >= 0:
            return
        problem, code = self._problem(), self._srt.srt_getlasterror(None)
        if code == NO_ANSWER:
            problem = "nobody answers there"
        if code == REJECTED:
            reason = self._srt.srt_getrejectreason(self._socket)
            if reason in FINAL:
                raise ChildFailed(FINAL[reason], final=True)
            problem = PASSING.get(reason) or self._srt.srt_rejectreason_str(reason).decode()
        raise ChildFailed(problem)

    def _set(self, number: int, value: bytes) -> None:
        if self._srt.srt_setsockflag(self._socket, number, value, len(value)) < 0:
            name = next((n for n, option in srt.OPTIONS.items() if option[0] == number), number)
            raise ChildFailed(f"SRT refuses the option {name}: {self._problem()}", final=True)

    def _problem(self) -> str:
        text: bytes = self._srt.srt_getlasterror_str()
        return text.decode(errors="replace")


def packed_address(family: int, address: tuple[object, ...]) -> bytes:
    """The C structure `sockaddr_in` or `sockaddr_in6`."""
    host, port = str(address[0]).partition("%")[0], address[1]
    size = 28 if family == socket.AF_INET6 else 16
    bsd = sys.platform == "darwin" or "bsd" in sys.platform
    head = bytes([size, family]) if bsd else struct.pack("=H", family)
    head += struct.pack("!H", port)
    packed = socket.inet_pton(family, host)
    if family == socket.AF_INET6:
        return head + struct.pack("!I", 0) + packed + struct.pack("=I", int(str(address[3])))
    return (head + packed).ljust(size, b"\0")
