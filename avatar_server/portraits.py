"""The portraits a server can show: the packaged ones and those uploaded while it runs.

Pictures are untrusted and the face finder is heavy, so each one is prepared in a short-lived
child process (`python -m sonic_stream.prepare`), one at a time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatar_server.children import end
from avatar_server.config import EngineSection
from avatar_server.errors import AvatarError
from sonic_stream.avatars import list_avatars, load_avatar
from sonic_stream.prepare import Preparation

PREPARE_TIMEOUT_S = 60.0


class BadPortrait(AvatarError):
    """`report` is the fitness report, where the picture came that far."""

    code = "bad_portrait"
    status = 422

    def __init__(self, message: str, report: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True, slots=True)
class PreparedPortrait:
    id: str
    name: str
    identity: Path
    thumbnail: Path
    report: dict[str, Any]
    built_in: bool
    matte: bool  # whether another background can stand behind the person

    def listing(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "thumbnail": f"/api/portraits/{self.id}/thumbnail",
            "built_in": self.built_in,
            "matte": self.matte,
        }


class Portraits:
    """Prepared portraits by id; the first packaged avatar is the default."""

    def __init__(self, settings: EngineSection, cache: Path, keep: int) -> None:
        self._settings = settings
        self._cache = cache
        self._keep = keep
        self._known: dict[str, PreparedPortrait] = {}
        self._one_at_a_time = asyncio.Semaphore(1)
        self._prepared = Preparation(settings.name, settings.size_px, cache, settings.expand_ratio)

    async def prepare_default(self) -> PreparedPortrait:
        """The configured avatar, made ready. Raises `BadPortrait`."""
        names = {avatar.id: avatar.name for avatar in list_avatars()}
        ident = self._settings.portrait or next(iter(names))
        if ident not in names:
            known = ", ".join(names)
            raise BadPortrait(f"engine.portrait = {ident!r} is no packaged avatar ({known})")
        return await self._prepare_packaged(ident, names[ident])

    async def prepare_rest(self) -> None:
        for avatar in list_avatars():
            if avatar.id not in self._known:
                await self._prepare_packaged(avatar.id, avatar.name)

    async def add(self, picture: bytes, name: str) -> PreparedPortrait:
        """Prepare an uploaded picture, at once if it was before. Raises `BadPortrait` with
        the report."""
        result = await asyncio.to_thread(self._prepared.find, picture)
        if result is None:
            result = await self.prepared_upload("--image", picture)
        portrait = _prepared(result, result["fingerprint"], name, built_in=False)
        self._remember(portrait)
        return portrait

    async def prepared_upload(self, kind: str, picture: bytes) -> dict[str, Any]:
        """What the child makes of a stranger's picture. Raises `BadPortrait`."""
        self._cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._cache, prefix="upload-") as folder:
            path = Path(folder) / "picture"
            await asyncio.to_thread(path.write_bytes, picture)
            return await self._child(kind, str(path))

    def get(self, ident: str) -> PreparedPortrait:
        """Raises `BadPortrait` when there is none of this id."""
        portrait = self._known.get(ident)
        if portrait is None:
            raise BadPortrait(f"there is no portrait {ident!r}; choose one from the list")
        return portrait

    def listing(self) -> list[dict[str, Any]]:
        return [portrait.listing() for portrait in self._known.values()]

    async def _prepare_packaged(self, ident: str, name: str) -> PreparedPortrait:
        content = (await asyncio.to_thread(load_avatar, ident)).content
        result = await asyncio.to_thread(self._prepared.find, content)
        if result is None:
            result = await self._child("--avatar", ident)
        portrait = _prepared(result, ident, name, built_in=True)
        self._remember(portrait)
        return portrait

    def _remember(self, portrait: PreparedPortrait) -> None:
        self._known[portrait.id] = portrait
        uploaded = [p.id for p in self._known.values() if not p.built_in]
        for ident in uploaded[: -self._keep]:
            del self._known[ident]

    async def _child(self, *arguments: str) -> dict[str, Any]:
        settings = self._settings
        async with self._one_at_a_time:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "sonic_stream.prepare",
                "--engine", settings.name, "--size", str(settings.size_px),
                "--expand-ratio", str(settings.expand_ratio), "--cache", str(self._cache),
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            try:
                async with asyncio.timeout(PREPARE_TIMEOUT_S):
                    output, noise = await process.communicate()
            except TimeoutError as error:
                raise BadPortrait("the picture took too long; try a smaller one") from error
            finally:
                await end(process)
        return _parse(output, noise)


def _parse(output: bytes, noise: bytes) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(output)
    except ValueError as error:
        tail = noise.decode(errors="replace").strip().splitlines()[-1:]
        raise BadPortrait(f"the picture could not be prepared: {' '.join(tail)}") from error
    if not result["ok"]:
        problem = result.get("error")
        report = result.get("report")
        if problem:
            raise BadPortrait(f"{problem['message']} {problem.get('advice', '')}".strip(), report)
        raise BadPortrait("this picture does not make a good avatar", report)
    return result


def _prepared(result: dict[str, Any], ident: str, name: str, *, built_in: bool) -> PreparedPortrait:
    return PreparedPortrait(
        id=ident,
        name=name,
        identity=Path(result["identity"]),
        thumbnail=Path(result["thumbnail"]),
        report=result.get("report") or {"ok": True, "reasons": []},
        built_in=built_in,
        matte=bool(result.get("matte")),
    )
