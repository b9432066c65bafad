"""Uploaded sound files, kept in a temporary folder for as long as the server lives."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from avatar_server.errors import AvatarError
from avatar_server.sources.file import probe


class BadFile(AvatarError):
    code = "bad_file"
    status = 422


@dataclass(frozen=True, slots=True)
class SoundFile:
    id: str
    name: str
    path: Path
    duration_s: float


class Files:
    """Bounded: past `keep` files the oldest goes."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._folder = tempfile.TemporaryDirectory(prefix="avatar-server-")
        self._files: dict[str, SoundFile] = {}

    async def add(self, data: bytes, name: str) -> SoundFile:
        """Raises `SourceError` when it is no sound file that we play."""
        ident = secrets.token_urlsafe(9)
        path = Path(self._folder.name) / ident
        await asyncio.to_thread(path.write_bytes, data)
        try:
            info = await probe(path)
        except AvatarError:
            path.unlink()
            raise
        self._files[ident] = SoundFile(ident, name, path, info.duration_s)
        for old in list(self._files)[: -self._keep]:
            self._files.pop(old).path.unlink(missing_ok=True)
        return self._files[ident]

    def get(self, ident: str) -> SoundFile:
        """Raises `BadFile`."""
        file = self._files.get(ident)
        if file is None:
            raise BadFile(f"there is no uploaded file {ident!r}; upload it again")
        return file

    def close(self) -> None:
        self._files.clear()
        self._folder.cleanup()
