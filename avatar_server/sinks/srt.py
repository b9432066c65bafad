"""PURE. What an address like srt://host:port?streamid=…&latency=… says: the options of libsrt, by
the names that SRT's own tools give them; times are milliseconds."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from avatar_server.sinks.addresses import BadAddress

MAX_LATENCY_MS = 30_000
# name: (number in srt.h, how its value is packed, least, most); of a text its length.
OPTIONS = {
    "mss": (0, "i", 76, 65_000),
    "fc": (4, "i", 32, 1 << 20),
    "sndbuf": (5, "i", 1 << 16, 1 << 28),
    "maxbw": (16, "q", -1, 1 << 40),
    "latency": (23, "i", 0, MAX_LATENCY_MS),
    "inputbw": (24, "q", 0, 1 << 40),
    "oheadbw": (25, "i", 5, 100),
    "passphrase": (26, "s", 10, 79),
    "pbkeylen": (27, "i", 0, 32),
    "ipttl": (29, "i", 1, 255),
    "iptos": (30, "i", 0, 255),
    "tlpktdrop": (31, "?", 0, 1),
    "snddropdelay": (32, "i", -1, MAX_LATENCY_MS),
    "nakreport": (33, "?", 0, 1),
    "conntimeo": (36, "i", 100, 8_000),
    "lossmaxttl": (42, "i", 0, 1 << 16),
    "rcvlatency": (43, "i", 0, MAX_LATENCY_MS),
    "peerlatency": (44, "i", 0, MAX_LATENCY_MS),
    "streamid": (46, "s", 0, 512),
    "congestion": (47, "s", 4, 16),
    "kmrefreshrate": (51, "i", 0, 1 << 30),
    "kmpreannounce": (52, "i", 0, 1 << 30),
    "enforcedencryption": (53, "?", 0, 1),
    "peeridletimeo": (55, "i", 500, 60_000),
    "packetfilter": (60, "s", 0, 512),
}
LATENCIES = ("latency", "rcvlatency", "peerlatency")
# What the server does anyway; addresses that are pasted often say so.
FIXED = {"mode": "caller", "transtype": "live", "payloadsize": "1316", "pkt_size": "1316"}
TRUTH = {"1": True, "true": True, "yes": True, "on": True,
         "0": False, "false": False, "no": False, "off": False}  # fmt: skip
KEY_LENGTHS = (0, 16, 24, 32)


@dataclass(frozen=True, slots=True)
class SrtAddress:
    """`options`: numbers of srt.h and their values, as `srt_setsockflag` takes them."""

    host: str
    port: int
    options: tuple[tuple[int, bytes], ...]


def parse(url: str) -> SrtAddress:
    """Raises `BadAddress`, which never repeats a value: it may be a secret."""
    if "#" in url:
        raise BadAddress("write the # of a stream id as %23, or what follows it is lost")
    parts = urlsplit(url)
    if not parts.hostname or parts.port is None:
        raise BadAddress("an SRT address names its port: srt://host:port")
    options = []
    for given in filter(None, parts.query.split("&")):
        name, _, value = given.partition("=")
        if name in FIXED:
            _check_fixed(name, value)
        elif name in OPTIONS:
            options.append((OPTIONS[name][0], _packed(name, unquote(value))))
        else:
            raise BadAddress(f"SRT has no option {name[:40]!r} here; it has {', '.join(OPTIONS)}")
    return SrtAddress(parts.hostname, parts.port, tuple(options))


def _check_fixed(name: str, value: str) -> None:
    if value == FIXED[name]:
        return
    if name == "mode":
        raise BadAddress("this server calls (mode=caller); let the other side listen")
    raise BadAddress(f"SRT's {name} is always {FIXED[name]} here; leave it out")


def _packed(name: str, value: str) -> bytes:
    _, kind, least, most = OPTIONS[name]
    if kind == "s":
        data = value.encode()
        if not least <= len(data) <= most or "\0" in value:
            raise BadAddress(f"SRT's {name} has {least} to {most} characters")
        return data
    if kind == "?":
        if value.lower() not in TRUTH:
            raise BadAddress(f"SRT's {name} is 0 or 1")
        return struct.pack("=?", TRUTH[value.lower()])
    number = int(value) if re.fullmatch(r"-?\d{1,15}", value, re.ASCII) else None
    if number is None or not least <= number <= most:
        micro = "; it is milliseconds here, not FFmpeg's microseconds" if name in LATENCIES else ""
        raise BadAddress(f"SRT's {name} is a number from {least} to {most}{micro}")
    if name == "pbkeylen" and number not in KEY_LENGTHS:
        raise BadAddress("SRT's pbkeylen is 16, 24 or 32")
    return struct.pack(f"={kind}", number)
