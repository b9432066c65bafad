"""The parts that sinks share: addresses, key frames, second tries, the list of sinks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from avatar_server import protocol
from avatar_server.clock import ManualClock
from avatar_server.config import SinksSection
from avatar_server.errors import BadMessage
from avatar_server.rtc.peer import RtcSettings
from avatar_server.sinks.addresses import BadAddress, check
from avatar_server.sinks.base import Feed, Sink, SinkError, Sinks, Sound
from avatar_server.sinks.keyframes import Keyframes
from avatar_server.sinks.life import Hopeless, Life, Lost
from avatar_server.sinks.outlets import Outlets
from sonic_stream.media import MediaPacket


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtmp://live.example.org/app/key", "rtmp://live.example.org"),
        ("rtmp://user:pass@live.example.org:1936/app/key?x=y", "rtmp://live.example.org:1936"),
        ("rtmps://[2001:db8::1]/app", "rtmps://[2001:db8::1]"),
    ],
)
def test_addresses_are_shown_without_their_secrets(url: str, shown: str) -> None:
    assert check(url, ("rtmp", "rtmps"), ["*"]) == shown


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "/etc/passwd", "concat:a|b", "rtmp://", "rtmp:///x", "http://x/y",
        "rtmp://host:99999/x", "rtmp://[::1/x", "rtmp://host/a b", "rtmp://host/a\nb", "",
        "RTMPX://host/x", "pipe:1", "rtmp://ho\x00st/",
    ],
)  # fmt: skip
def test_what_is_no_address_for_it_is_refused(url: str) -> None:
    with pytest.raises(BadAddress):
        check(url, ("rtmp", "rtmps"), ["*"])


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("rtmp://a.example.org/x", True),
        ("rtmp://A.EXAMPLE.ORG/x", True),
        ("rtmp://example.org/x", False),
        ("rtmp://a.example.org.evil.net/x", False),
        ("rtmp://a.example.org@evil.net/x", False),
        ("rtmp://box:1936/x", True),
        ("rtmp://box/x", False),
        ("rtmp://127.0.0.1/x", False),
        ("rtmp://169.254.169.254/x", False),
    ],
)
def test_only_listed_hosts_are_allowed(url: str, allowed: bool) -> None:
    hosts = ["*.example.org", "box:1936"]
    if allowed:
        check(url, ("rtmp",), hosts)
    else:
        with pytest.raises(BadAddress, match="allowed_hosts"):
            check(url, ("rtmp",), hosts)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_refusal(text: str) -> None:
    try:
        shown = check(text, ("rtmp",), ["*"])
    except BadAddress:
        return
    assert shown.startswith("rtmp://")


def packet(pts: int, *, keyframe: bool = False) -> MediaPacket:
    return MediaPacket("h264", b"x", pts, Fraction(1, 25), keyframe)


@settings(max_examples=60)
@given(st.integers(1, 14), st.lists(st.integers(0, 150), max_size=5), st.booleans())
def test_key_frames_come_often_enough_whatever_is_lost(
    answer: int, losses: list[int], periodic: bool
) -> None:
    """The encoder answers `answer` frames after it was asked. Nothing is taken before a key
    frame, none is asked for while one is under way, and with `periodic` two are never more
    than 1.6 s and the answer's time apart."""
    keyframes, due, taken = Keyframes(periodic=periodic), -1, []
    for pts in range(150):
        if pts in losses:
            keyframes.lost()
        key = pts == due
        use, ask = keyframes.take(packet(pts, keyframe=key))
        if use:
            taken.append((pts, key))
        if ask:
            assert due <= pts, "one is under way"
            due = pts + answer
    assert taken[0] == (answer if 0 not in losses else taken[0][0], True)
    for loss in losses:
        after = [key for pts, key in taken if pts >= loss]
        assert not after or after[0]
    keys = [pts for pts, key in taken if key]
    if periodic:
        assert max(b - a for a, b in pairwise(keys)) <= 40 + answer
    else:
        assert len(keys) <= 1 + len(losses)


def feed_of(clock: ManualClock, told: list[str]) -> Feed:
    return Feed(
        fps=Fraction(25),
        size_px=128,
        latency_samples=7680,
        clock=clock,
        request_keyframe=lambda codec: None,
        refresh=lambda: None,
        tell=lambda code, message: told.append(code),
    )


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_waits_double_up_to_half_a_minute() -> None:
    clock, told, tries = ManualClock(), [], []

    async def attempt() -> None:
        tries.append(clock.now_s())
        raise Lost("no")

    life = Life("x", feed_of(clock, told), attempt)
    await settle()
    for _ in range(400):
        await clock.advance(0.5)
        await settle()
    waits = [b - a for a, b in pairwise(tries)]
    assert waits[:7] == [1, 2, 4, 8, 16, 30, 30]
    assert told == ["sink_retrying"]  # once, not each time
    assert (life.state, life.reason) == ("retrying", "no")
    await life.end(1)
    assert life.state == "closed"


async def test_after_a_steady_time_the_first_wait_is_short_again() -> None:
    clock, told, tries = ManualClock(), [], []

    async def attempt() -> None:
        tries.append(clock.now_s())
        if len(tries) == 4:
            life.went_live()
            await clock.sleep_until_s(clock.now_s() + 60)
        raise Hopeless("over") if len(tries) == 6 else Lost("no")

    life = Life("x", feed_of(clock, told), attempt)
    await settle()
    for _ in range(200):
        await clock.advance(0.5)
        await settle()
    assert [b - a for a, b in pairwise(tries)] == [1, 2, 4, 61, 2]
    assert told == ["sink_retrying", "sink_live", "sink_retrying", "sink_failed"]
    assert (life.state, life.reason) == ("failed", "over")
    await life.end(1)
    assert life.state == "failed"


async def test_a_target_that_is_gone_for_good_is_given_up() -> None:
    clock, told = ManualClock(), []

    async def attempt() -> None:
        raise Lost("no")

    life = Life("x", feed_of(clock, told), attempt)
    await settle()
    for _ in range(1300):
        await clock.advance(0.5)
        await settle()
    assert told == ["sink_retrying", "sink_failed"]
    assert (life.state, life.reason) == ("failed", "no; given up after 10 minutes")
    await life.end(1)


class Silent:
    kind, wants_opus = "silent", False
    codecs = frozenset({"h264"})

    def __init__(self, state: str = "live") -> None:
        self.state = state
        self.closed = 0

    def send_sound(self, sound: Sound) -> None: ...

    def send_picture(self, packet: MediaPacket) -> None: ...

    def status(self) -> Mapping[str, object]:
        return {"state": self.state, "reason": "", "target": "t", "dropped": 1}

    async def close(self) -> None:
        self.closed += 1


async def test_a_failed_sink_gives_its_name_to_the_next() -> None:
    wanted: list[frozenset[str]] = []
    sinks = Sinks(wanted.append)
    first, second = Silent(), Silent()
    await sinks.open("a", lambda: first)
    with pytest.raises(SinkError, match="already"):
        await sinks.open("a", lambda: second)
    first.state = "failed"
    await sinks.open("a", lambda: second)
    assert (first.closed, second.closed) == (1, 0)
    assert sinks.summary() == [
        {"id": "a", "kind": "silent", "state": "live", "reason": "", "target": "t", "offset_ms": 0}
    ]
    for index in range(15):
        await sinks.open(str(index), Silent)
    made: list[Sink] = []
    with pytest.raises(SinkError, match="at most"):
        await sinks.open("one too many", _counted(made))
    assert not made  # it was not even begun
    await sinks.remove("a")
    with pytest.raises(SinkError, match="no sink"):
        await sinks.remove("a")
    await sinks.close()
    assert second.closed == 1


def _counted(made: list[Sink]) -> Callable[[], Sink]:
    def make() -> Sink:
        made.append(Silent())
        return made[-1]

    return make


def outlets(folder: Path, *, local: bool = True, **section: object) -> Outlets:
    return Outlets(SinksSection.model_validate(section), RtcSettings(), folder, local=local)


def command(**fields: object) -> protocol.OpenSink:
    import json

    message = protocol.parse(json.dumps({"type": "sink_open", "id": "x", **fields}))
    assert isinstance(
        message,
        protocol.OpenRecording | protocol.OpenWhip | protocol.OpenPush | protocol.OpenDevice,
    )
    return message


async def test_who_may_open_what(tmp_path: Path) -> None:
    feed = feed_of(ManualClock(), [])
    push = command(kind="rtmp", url="rtmp://127.0.0.1:1/live/key")
    with pytest.raises(BadAddress, match="allowed_hosts"):
        outlets(tmp_path, local=False).open(push, feed)
    with pytest.raises(SinkError, match="switched 'rtmp' off"):
        outlets(tmp_path, enabled=["recording"]).open(push, feed)
    with pytest.raises(BadAddress, match="rtmp://"):
        outlets(tmp_path).open(command(kind="rtmp", url="http://x/y"), feed)
    with pytest.raises(BadAddress, match="https://"):
        outlets(tmp_path).open(command(kind="whip", url="rtmp://x/y"), feed)
    for made in (
        outlets(tmp_path).open(push, feed),
        outlets(tmp_path, local=False, allowed_hosts=["127.0.0.1"]).open(push, feed),
    ):
        await made.close()


def test_only_recordings_are_given_out(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.webm", "secret.txt", ".hidden.mp4"):
        (tmp_path / name).write_bytes(b"x")
    kept = outlets(tmp_path)
    assert {entry["name"] for entry in kept.recordings()} >= {"b.mp4", "a.webm"}
    assert kept.recording("b.mp4").read_bytes() == b"x"
    for name in ("secret.txt", "../b.mp4", "..%2fb.mp4", ".hidden.mp4", "c.mp4", "", "a\0.mp4"):
        with pytest.raises(SinkError):
            kept.recording(name)
    assert outlets(tmp_path / "none").recordings() == []
    with pytest.raises(SinkError, match="share_recordings"):
        outlets(tmp_path, local=False).recordings()
    with pytest.raises(SinkError, match="share_recordings"):
        outlets(tmp_path, local=False).recording("b.mp4")
    assert outlets(tmp_path, local=False, share_recordings=True).recording("b.mp4")


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "recording", "format": "avi"},
        {"kind": "recording", "name": "../x"},
        {"kind": "recording", "name": ""},
        {"kind": "recording", "url": "rtmp://x"},
        {"kind": "whip"},
        {"kind": "whip", "url": "https://x", "token": "a b"},
        {"kind": "whip", "url": "https://x", "codec": "av1"},
        {"kind": "rtmp", "url": ""},
        {"kind": "smoke"},
        {},
    ],
)
def test_bad_commands_are_told(fields: dict[str, object]) -> None:
    with pytest.raises(BadMessage):
        command(**fields)


def test_the_configuration_names_what_there_is() -> None:
    with pytest.raises(ValidationError):
        SinksSection.model_validate({"enabled": ["fax"]})
