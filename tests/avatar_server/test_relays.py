"""What a WHIP server tells of relays."""

from __future__ import annotations

import pytest
from aiortc.rtcicetransport import parse_stun_turn_uri
from hypothesis import given
from hypothesis import strategies as st

from avatar_server.rtc.relays import Relay, relays

REL = '; rel="ice-server"'


def test_each_relay_is_found_with_who_one_is_there() -> None:
    who = '; username="user"; credential="my, \\"Pass\\";word"; credential-type="password"'
    found = relays(
        [
            f"<stun:stun.example.net>{REL}, <turn:turn.example.net?transport=udp>{REL}{who}",
            f"<turns:[2001:db8::1]:443?transport=tcp>;rel=ice-server{who}",
        ]
    )
    secret = 'my, "Pass";word'
    assert found == [
        Relay("turn:turn.example.net?transport=udp", "turn.example.net", 3478, "user", secret),
        Relay("turns:[2001:db8::1]:443?transport=tcp", "2001:db8::1", 443, "user", secret),
    ]


@pytest.mark.parametrize(
    "link",
    [
        "", "<", "turn:x", '<turn:x>; rel="other"', "<turn:x>", f"<http://x/>{REL}",
        f"<turn:>{REL}",
        f"<turn:x>{REL}; credential-type=token", f"<turn:a@b>{REL}", f"<turn:x/y>{REL}",
        f"<turn:x:y>{REL}", f"<turn:x?transport=sctp>{REL}",
    ],
)  # fmt: skip
def test_what_is_none_is_left_out(link: str) -> None:
    assert relays([link]) == []


HOSTS = st.from_regex(r"[a-z0-9.-]{1,20}", fullmatch=True)


@given(HOSTS, st.integers(0, 65_535) | st.none(), st.sampled_from(["", "udp", "tcp"]))
def test_what_is_found_is_understood_by_who_uses_it(
    host: str, port: int | None, transport: str
) -> None:
    uri = f"turn:{host}" + (f":{port}" if port is not None else "")
    uri += f"?transport={transport}" if transport else ""
    (relay,) = relays([f"<{uri}>{REL}"])
    assert parse_stun_turn_uri(relay.uri)["host"] == relay.host == host


@given(st.lists(st.text(max_size=80), max_size=3))
def test_any_header_is_read_or_left_out(links: list[str]) -> None:
    relays(links)
