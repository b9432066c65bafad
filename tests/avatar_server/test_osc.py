"""OSC messages become commands."""

from __future__ import annotations

import pytest

from avatar_server import protocol
from avatar_server.errors import BadMessage
from avatar_server.osc import command_of


@pytest.mark.parametrize(
    ("address", "values", "command"),
    [
        ("/avatar/say", ["Hello"], protocol.Say(type="say", text="Hello")),
        ("/avatar/say", ["Hi", "en-gb"], protocol.Say(type="say", text="Hi", voice="en-gb")),
        ("/avatar/interrupt", [], protocol.Interrupt(type="interrupt")),
        ("/avatar/idle", [], protocol.SelectSource(type="source", kind="idle")),
        ("/avatar/source", ["mic"], protocol.SelectSource(type="source", kind="mic")),
        ("/avatar/source/mic", [], protocol.SelectSource(type="source", kind="mic")),
        ("/avatar/portrait", ["theo"], protocol.SelectPortrait(type="portrait", id="theo")),
        ("/avatar/portrait/theo", [], protocol.SelectPortrait(type="portrait", id="theo")),
        ("/avatar/offset", [-40], protocol.Set(type="set", lip_sync_offset_ms=-40)),
        ("/avatar/offset", [39.7], protocol.Set(type="set", lip_sync_offset_ms=40)),
        ("/avatar/set/smoothing", [0.25], protocol.Set(type="set", smoothing=0.25)),
        (
            "/avatar/sink_offset", ["viewers", 20],
            protocol.SinkOffset(type="sink_offset", id="viewers", offset_ms=20),
        ),
        ("/avatar/mute", [1], protocol.Set(type="set", mic_muted=True)),
        ("/avatar/mute", [0.0], protocol.Set(type="set", mic_muted=False)),
        ("/avatar/volume", [0.5], protocol.Set(type="set", volume=0.5)),
        ("/avatar/record", [0], protocol.CloseSink(type="sink_close", id="recording")),
        (
            "/avatar/record", [1],
            protocol.OpenRecording(type="sink_open", kind="recording", id="recording"),
        ),
        (
            "/avatar/sink_open/rtmp/live", ["rtmp://host/app/key"],
            protocol.OpenPush(type="sink_open", kind="rtmp", id="live", url="rtmp://host/app/key"),
        ),
    ],
)  # fmt: skip
def test_an_address_and_its_values_are_a_command(
    address: str, values: list[object], command: protocol.Command
) -> None:
    assert command_of(address, values) == command


@pytest.mark.parametrize(
    ("address", "values", "reason"),
    [
        ("/mixer/say", ["x"], "not /avatar"),
        ("/avatar", [], "not /avatar"),
        ("/avatar/dance", [], "no command"),
        ("/avatar/hello", [], "no command"),
        ("/avatar/sink_open", ["pigeon", "a"], "not 'pigeon'"),
        ("/avatar/record", [], "1 or 0"),
        ("/avatar/say", [], "text"),
        ("/avatar/interrupt", [1], "at most 0"),
        ("/avatar/offset", [501], "500"),
        ("/avatar/offset", [], "one value"),
        ("/avatar/set/colour", [1], "colour"),
    ],
)
def test_what_is_none_says_why(address: str, values: list[object], reason: str) -> None:
    with pytest.raises(BadMessage, match=reason):
        command_of(address, values)
