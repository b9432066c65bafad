"""Measured lip-sync offsets by name: a profile says, for each kind of sink, what it needs here.

One small JSON file in the cache: {"profiles": {"My OBS": {"obs": 120, "webrtc": -10}}}.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from avatar_server.errors import AvatarError
from avatar_server.protocol import OffsetMs

MAX_PROFILES = 100
Name = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^/\x00-\x1f]+$")]
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
Offsets = Annotated[dict[Kind, OffsetMs], Field(max_length=20)]


class NoProfile(AvatarError):
    code = "no_profile"
    status = 404


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    profiles: dict[Name, Offsets] = {}


class Profiles:
    """Read at first use, written at each change. A damaged file is put aside, not overwritten."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changing = asyncio.Lock()

    async def all(self) -> dict[str, dict[str, int]]:
        return await asyncio.to_thread(self._read)

    async def offset_ms(self, name: str, kind: str) -> int:
        """0 where the profile does not speak of this kind. Raises `NoProfile`."""
        profiles = await self.all()
        if name not in profiles:
            raise NoProfile(f"there is no profile {name!r}; make one at /calibrate")
        return profiles[name].get(kind, 0)

    async def put(self, name: str, offsets: dict[str, int]) -> None:
        """Raises `AvatarError` when there are too many."""
        async with self._changing:
            profiles = await self.all()
            if name not in profiles and len(profiles) >= MAX_PROFILES:
                raise AvatarError(f"there are {MAX_PROFILES} profiles; delete one", "too_many")
            await asyncio.to_thread(self._write, profiles | {name: offsets})

    async def remove(self, name: str) -> None:
        """Raises `NoProfile`."""
        async with self._changing:
            profiles = await self.all()
            if name not in profiles:
                raise NoProfile(f"there is no profile {name!r}")
            del profiles[name]
            await asyncio.to_thread(self._write, profiles)

    def _read(self) -> dict[str, dict[str, int]]:
        try:
            return _File.model_validate_json(self._path.read_text("utf-8")).profiles
        except FileNotFoundError:
            return {}
        except (ValidationError, UnicodeDecodeError):
            self._path.replace(self._path.with_suffix(".damaged"))
            return {}

    def _write(self, profiles: dict[str, dict[str, int]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        part.write_text(_File(profiles=profiles).model_dump_json(indent=2) + "\n", "utf-8")
        part.replace(self._path)
