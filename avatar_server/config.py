"""PURE but for `load`. TOML into strict models: an unknown key or a wrong type is an error.

Each object is handed its own section only.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from avatar_server.errors import ConfigError


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ServerSection(Section):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    # Names under which browsers may reach the server, besides loopback and `host`.
    allowed_hosts: list[str] = []
    # Origins of other sites whose pages may use this server ("https://example.org").
    allowed_origins: list[str] = []
    drain_s: Annotated[float, Field(ge=0, le=600)] = 10.0


class EngineSection(Section):
    name: str = "lite"  # "auto": sonic where it can run, else lite
    size_px: Annotated[int, Field(ge=128, le=2048, multiple_of=16)] = 512
    portrait: str = ""  # a packaged avatar's id; empty: the first of the catalogue
    expand_ratio: Annotated[float, Field(ge=0.0, le=1.0)] = 0.18
    # Loading and compiling a large engine takes minutes.
    start_timeout_s: Annotated[float, Field(ge=1.0, le=3600.0)] = 60.0
    # The engine's own settings; with "auto" they are sonic's.
    settings: dict[str, bool | int | float | str] = {}


class MediaSection(Section):
    # Only these local addresses are offered in ICE; empty: all but loopback.
    host_addresses: list[str] = []
    # "stun:host:port" or "turn:user:password@host:port"; none by default.
    ice_servers: list[str] = []
    bitrate_bps: Annotated[int, Field(ge=100_000, le=20_000_000)] = 1_500_000
    # Reserve on top of the engine's own latency for computing and encoding.
    margin_ms: Annotated[int, Field(ge=20, le=1000, multiple_of=20)] = 40


class LimitsSection(Section):
    sessions: Annotated[int, Field(ge=1, le=1000)] = 2
    viewers_per_session: Annotated[int, Field(ge=1, le=1000)] = 10
    # A client unheard of for this long is gone, and its place is free.
    heartbeat_s: Annotated[float, Field(ge=1.0, le=60.0)] = 4.5
    portrait_bytes: Annotated[int, Field(ge=1)] = 12_000_000
    file_bytes: Annotated[int, Field(ge=1)] = 25_000_000
    files_kept: Annotated[int, Field(ge=1, le=1000)] = 20
    portraits_kept: Annotated[int, Field(ge=1, le=1000)] = 50


class SessionSection(Section):
    """A session that is there from the start and stays, watched or not: an always-on avatar."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
    # Who has it commands the session; empty: made once, kept in `paths.cache`/sessions.
    token: Annotated[str, Field(pattern=r"^$|^\S{16,100}$")] = ""
    portrait: str = ""
    lip_sync_offset_ms: Annotated[int, Field(ge=-500, le=500)] = 0


class OscSection(Section):
    """Control by OSC over UDP (extra `osc`); who reaches the port commands the avatar."""

    port: Annotated[int, Field(ge=0, le=65535)] = 0  # 0: off
    host: str = "127.0.0.1"
    session: str = ""  # empty: the newest


class SpeechSection(Section):
    # espeak, openai, edge, piper, kokoro or "package.module:Class".
    engine: str = "espeak"
    # The engine's own settings.
    settings: dict[str, bool | int | float | str | list[str]] = {}


class LocalSection(Section):
    # Whether clients may turn on a microphone of the server's own machine, and which.
    microphone: bool = False
    device: str = ""


def default_cache_dir() -> str:
    return str(Path.home() / ".cache" / "avatar-server")


def default_recordings_dir() -> str:
    return str(Path.home() / ".local" / "share" / "avatar-server" / "recordings")


class PathsSection(Section):
    cache: str = Field(default_factory=default_cache_dir)
    recordings: str = Field(default_factory=default_recordings_dir)


SinkKind = Literal["recording", "whip", "rtmp", "srt", "camera", "speaker"]


class SinksSection(Section):
    # What a studio may open.
    enabled: list[SinkKind] = ["recording", "whip", "rtmp", "srt", "camera", "speaker"]
    # Recordings can be listed and fetched over HTTP where nobody but this machine reaches the
    # server; with this, by everybody who does.
    share_recordings: bool = False
    # Where it may send to: "host", "host:port", "*.example.org". Empty: anywhere as long as
    # nobody but this machine reaches the server, nowhere otherwise.
    allowed_hosts: list[str] = []


class Config(Section):
    server: ServerSection = ServerSection()
    engine: EngineSection = EngineSection()
    media: MediaSection = MediaSection()
    limits: LimitsSection = LimitsSection()
    speech: SpeechSection = SpeechSection()
    local: LocalSection = LocalSection()
    paths: PathsSection = Field(default_factory=PathsSection)
    osc: OscSection = OscSection()
    sinks: SinksSection = SinksSection()
    sessions: list[SessionSection] = []

    @model_validator(mode="after")
    def _sessions_fit(self) -> Self:
        names = [section.id for section in self.sessions]
        if len(set(names)) < len(names):
            raise ValueError("two [[sessions]] have the same id")
        if len(names) > self.limits.sessions:
            raise ValueError(
                f"{len(names)} [[sessions]] are more than limits.sessions = {self.limits.sessions}"
            )
        return self


def load(path: Path | None) -> Config:
    """The configuration in a TOML file, or the defaults. Raises `ConfigError`."""
    if path is None:
        return Config()
    try:
        return Config.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no valid TOML: {error}") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ConfigError(f"{path}: " + "; ".join(lines)) from error
