"""PURE. Which addresses the server may connect to on a client's word."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from avatar_server.errors import AvatarError

PORTS = {"http": 80, "https": 443, "rtmp": 1935, "rtmps": 443, "srt": 9000, "turn": 3478}


class BadAddress(AvatarError):
    code = "bad_address"
    status = 422


def check(url: str, schemes: Sequence[str], allowed_hosts: Sequence[str]) -> str:
    """What people may see of the address (no path: it holds the key; no user, no query).

    `allowed_hosts` are patterns of "host" or "host:port". Raises `BadAddress`.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadAddress(f"that is no address: {error}") from error
    if parts.scheme not in schemes or not host:
        wanted = " or ".join(f"{scheme}://…" for scheme in schemes)
        raise BadAddress(f"an address for this is {wanted}")
    if any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
        raise BadAddress("an address holds no spaces and no control characters")
    shown = f"[{host}]" if ":" in host else host
    full = f"{shown}:{port or PORTS[parts.scheme]}"
    if not any(fnmatchcase(name, p.lower()) for p in allowed_hosts for name in (shown, full)):
        raise BadAddress(
            f"this server may not send to {full}; its operator can allow that: "
            f'[sinks] allowed_hosts = ["{shown}"]',
            "not_allowed",
        )
    return f"{parts.scheme}://{shown}" + (f":{port}" if port else "")
