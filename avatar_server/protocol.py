"""PURE. Control messages of the WebSocket (documented in docs/protocol.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from avatar_server.errors import AvatarError, BadMessage
from sonic_stream.engine import Expression

SUBPROTOCOL = "avatar.v1"
PCM_SUBPROTOCOL = "avatar.pcm.v1"
MAX_MESSAGE_BYTES = 256 * 1024
MAX_OFFSET_MS = 500

Identifier = Annotated[str, Field(min_length=1, max_length=100)]
# An image is named by the id that its upload was answered with.
Background = Annotated[
    str, Field(pattern=r"^(keep|blur|none|#[0-9a-fA-F]{6}|image:[A-Za-z0-9_-]{1,100})$")
]
OffsetMs = Annotated[int, Field(ge=-MAX_OFFSET_MS, le=MAX_OFFSET_MS)]


class Settings(BaseModel):
    """What a studio may change while live."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lip_sync_offset_ms: OffsetMs = 0
    dynamic_scale: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0
    motion_scale: Annotated[float, Field(ge=0.0, le=2.0)] = 1.0
    smoothing: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    expression: Expression = "neutral"
    background: Background = "keep"
    volume: Annotated[float, Field(ge=0.0, le=2.0)] = 1.0
    loop: bool = False
    mic_muted: bool = False
    noise_suppression: bool = False
    auto_gain: bool = False
    voice_gate: bool = False
    barge_in: Literal["off", "voice"] = "off"


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hello(Message):
    type: Literal["hello"]
    role: Literal["studio", "viewer"] = "studio"
    session: Identifier | None = None
    resume: Identifier | None = None
    calibrate: bool = False


class Offer(Message):
    type: Literal["offer"]
    sdp: Annotated[str, Field(max_length=MAX_MESSAGE_BYTES)]
    alpha: bool = False


class SelectSource(Message):
    type: Literal["source"]
    kind: Literal["mic", "local", "idle"]
    device: Identifier | None = None


class Say(Message):
    type: Literal["say"]
    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    voice: Identifier | None = None
    rate: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0


class Play(Message):
    type: Literal["play"]
    file: Identifier


class Stop(Message):
    type: Literal["stop"]


class Interrupt(Message):
    type: Literal["interrupt"]


class Skip(Message):
    type: Literal["skip"]
    to: Literal["next", "previous"] = "next"


class Pause(Message):
    type: Literal["pause"]


class Resume(Message):
    type: Literal["resume"]


class Set(Message):
    type: Literal["set"]
    lip_sync_offset_ms: OffsetMs | None = None
    dynamic_scale: Annotated[float, Field(ge=0.5, le=2.0)] | None = None
    motion_scale: Annotated[float, Field(ge=0.0, le=2.0)] | None = None
    smoothing: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    expression: Expression | None = None
    background: Background | None = None
    volume: Annotated[float, Field(ge=0.0, le=2.0)] | None = None
    loop: bool | None = None
    mic_muted: bool | None = None
    noise_suppression: bool | None = None
    auto_gain: bool | None = None
    voice_gate: bool | None = None
    barge_in: Literal["off", "voice"] | None = None

    def applied_to(self, settings: Settings) -> Settings:
        changes = self.model_dump(exclude={"type"}, exclude_none=True)
        return settings.model_copy(update=changes)


class SelectPortrait(Message):
    type: Literal["portrait"]
    id: Identifier


class SinkOffset(Message):
    """Of one sink or viewer alone, on top of the session's `lip_sync_offset_ms`."""

    type: Literal["sink_offset"]
    id: Identifier
    offset_ms: OffsetMs


FileStem = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,79}$")]
Url = Annotated[str, Field(min_length=1, max_length=2000)]
Device = Annotated[str, Field(max_length=200)]


class OpenRecording(Message):
    type: Literal["sink_open"]
    kind: Literal["recording"]
    id: Identifier
    format: Literal["mp4", "webm"] = "mp4"
    name: FileStem | None = None


class OpenWhip(Message):
    type: Literal["sink_open"]
    kind: Literal["whip"]
    id: Identifier
    url: Url
    token: Annotated[str, Field(max_length=2000, pattern=r"^[\x21-\x7e]*$")] = ""
    codec: Literal["vp8", "h264"] = "vp8"


class OpenPush(Message):
    type: Literal["sink_open"]
    kind: Literal["rtmp", "srt"]
    id: Identifier
    url: Url


class OpenDevice(Message):
    type: Literal["sink_open"]
    kind: Literal["camera", "speaker"]
    id: Identifier
    device: Device = ""


class CloseSink(Message):
    type: Literal["sink_close"]
    id: Identifier


OpenSink = OpenRecording | OpenWhip | OpenPush | OpenDevice


class Ping(Message):
    type: Literal["ping"]
    t: float = 0.0


# What a session is told to do, by the studio or over HTTP.
VoiceCommand = SelectSource | Say | Play | Stop | Interrupt | Skip | Pause | Resume
OtherCommand = (
    Set | SelectPortrait | SinkOffset | Annotated[OpenSink, Field(discriminator="kind")] | CloseSink
)
Command = VoiceCommand | OtherCommand
ClientMessage = Command | Hello | Offer | Ping


class _Envelope(RootModel[ClientMessage]):
    root: Annotated[ClientMessage, Field(discriminator="type")]


class _CommandEnvelope(RootModel[Command]):
    root: Annotated[Command, Field(discriminator="type")]


class PcmStart(Message):
    """The first message on `/ws/pcm`: whose voice it is, and how the sound is given."""

    type: Literal["start"]
    session: Identifier | None = None
    resume: Identifier | None = None
    rate_hz: Annotated[int, Field(ge=8000, le=48_000)] = 48_000
    format: Literal["s16", "f32"] = "s16"
    channels: Literal[1, 2] = 1


class PcmEnd(Message):
    type: Literal["end"]


PcmMessage = PcmStart | PcmEnd | Interrupt | Ping


class _PcmEnvelope(RootModel[PcmMessage]):
    root: Annotated[PcmMessage, Field(discriminator="type")]


def parse(text: str) -> ClientMessage:
    """A client's message. Raises `BadMessage` saying which field is wrong and why."""
    try:
        return _Envelope.model_validate_json(text).root
    except ValidationError as error:
        raise _bad_message(error) from error


def parse_pcm(text: str) -> PcmMessage:
    """The same for a message on `/ws/pcm`."""
    try:
        return _PcmEnvelope.model_validate_json(text).root
    except ValidationError as error:
        raise _bad_message(error) from error


def command(kind: str, fields: Mapping[str, Any]) -> Command:
    """The command of that type. Raises `BadMessage` saying which field is wrong and why."""
    try:
        return _CommandEnvelope.model_validate({**fields, "type": kind}).root
    except ValidationError as error:
        raise _bad_message(error) from error


def command_fields(kind: str) -> list[str]:
    """A command's fields in their order, for ways in that have no names for them. Raises
    `BadMessage` when there is no such command."""
    for model in _models(Command):
        if kind in get_args(model.model_fields["type"].annotation):
            return [name for name in model.model_fields if name != "type"]
    raise BadMessage(f"there is no command {kind!r}")


def _models(union: Any) -> Iterator[type[Message]]:
    """The messages of a union, also of unions within it."""
    for member in get_args(union):
        if isinstance(member, type) and issubclass(member, Message):
            yield member
        else:
            yield from _models(member)


def _bad_message(error: ValidationError) -> BadMessage:
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "message"
    return BadMessage(f"{where}: {first['msg']}")


def encode(kind: str, /, **fields: Any) -> str:
    """A server's message as JSON text."""
    return json.dumps({"type": kind, **fields}, ensure_ascii=False, allow_nan=False)


def encode_error(error: AvatarError) -> str:
    return encode("error", code=error.code, message=str(error), fatal=error.fatal)
