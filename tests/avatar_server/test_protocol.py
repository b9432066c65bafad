"""Every message round-trips; every bad one is refused with the reason."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_server import protocol
from avatar_server.errors import BadMessage, ServerFull


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "JSON"),
        ("[]", "object"),
        ('{"type": "dance"}', "dance"),
        ('{"type": "say"}', "text"),
        ('{"type": "say", "text": ""}', "at least 1"),
        (json.dumps({"type": "say", "text": "x" * 20_001}), "at most 20000"),
        ('{"type": "set", "lip_sync_offset_ms": 501}', "500"),
        ('{"type": "set", "dynamic_scale": "loud"}', "dynamic_scale"),
        ('{"type": "set", "colour": 1}', "colour"),
        ('{"type": "source", "kind": "camera"}', "kind"),
        ('{"type": "ping", "t": "now"}', "t"),
    ],
)
def test_bad_messages_say_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(BadMessage, match=reason):
        protocol.parse(text)


@given(st.text(max_size=200) | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(str))
def test_nothing_but_bad_message_is_ever_raised(text: str) -> None:
    with pytest.raises(BadMessage):
        protocol.parse(text)


def test_a_set_changes_only_what_it_names() -> None:
    message = protocol.parse('{"type": "set", "motion_scale": 0.0}')
    assert isinstance(message, protocol.Set)
    settings = message.applied_to(protocol.Settings(lip_sync_offset_ms=40))
    assert settings == protocol.Settings(lip_sync_offset_ms=40, motion_scale=0.0)


def test_an_expression_is_one_of_those_that_there_are() -> None:
    message = protocol.parse('{"type": "set", "expression": "happy"}')
    assert isinstance(message, protocol.Set)
    assert message.applied_to(protocol.Settings()).expression == "happy"
    with pytest.raises(BadMessage, match="'neutral', 'happy', 'serious' or 'surprised'"):
        protocol.parse('{"type": "set", "expression": "bored"}')


def test_errors_travel_with_code_and_fatality() -> None:
    assert json.loads(protocol.encode_error(ServerFull("full"))) == {
        "type": "error",
        "code": "server_full",
        "message": "full",
        "fatal": True,
    }
