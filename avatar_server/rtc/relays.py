"""PURE. The relays that a WHIP server tells of in its answer's `Link` headers (RFC 9725, 4.6)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[\w-]+\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^\s";,]*))?)*)')
ATTRIBUTE = re.compile(r';\s*([\w-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";,]*)))?')
TURN = re.compile(
    r"(turns?):(\[[0-9a-f:.]+\]|[^?:\[\]@/\s]+)(?::(\d{1,5}))?(?:\?transport=(udp|tcp))?",
    re.IGNORECASE,
)
DEFAULT_PORTS = {"turn": 3478, "turns": 5349}


@dataclass(frozen=True, slots=True)
class Relay:
    """A TURN server and who one is there. `uri` as RFC 7065 has it."""

    uri: str
    host: str
    port: int
    username: str
    credential: str


def relays(links: Iterable[str]) -> list[Relay]:
    """Of the values of the `Link` headers, in order. STUN servers are left out: what one learns
    from them only the other side could use, who learns it from our checks; so is what is none."""
    found = []
    for header in links:
        for uri, rest in LINK.findall(header):
            given = {
                name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain
                for name, quoted, plain in ATTRIBUTE.findall(rest)
            }
            match = TURN.fullmatch(uri.strip())
            by_password = given.get("credential-type", "password").lower() == "password"
            if match and by_password and "ice-server" in given.get("rel", "").lower().split():
                scheme, host, port, _ = match.groups()
                place = host.strip("[]"), int(port or DEFAULT_PORTS[scheme.lower()])
                names = given.get("username", ""), given.get("credential", "")
                found.append(Relay(uri.strip(), *place, *names))
    return found
