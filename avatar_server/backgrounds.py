"""Pictures to stand behind the person, uploaded while the server runs."""

from __future__ import annotations

from pathlib import Path

from avatar_server.errors import AvatarError
from avatar_server.portraits import BadPortrait, Portraits, PreparedPortrait

IMAGE = "image:"


class BadBackground(AvatarError):
    code = "bad_background"
    status = 422


class Backgrounds:
    """Images by id; past `keep` the oldest is forgotten (its file stays in the cache)."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._images: dict[str, Path] = {}

    async def add(self, picture: bytes, portraits: Portraits) -> str:
        """An uploaded picture's id. Raises `BadBackground`."""
        try:
            result = await portraits.prepared_upload("--backdrop", picture)
        except BadPortrait as error:
            raise BadBackground(str(error)) from error
        self._images[result["fingerprint"]] = Path(result["image"])
        for old in list(self._images)[: -self._keep]:
            del self._images[old]
        return str(result["fingerprint"])

    def resolved(self, background: str, portrait: PreparedPortrait) -> str:
        """A client's choice as `StreamOptions.background`. Raises `BadBackground`."""
        if background != "keep" and not portrait.matte:
            raise BadBackground(
                f"{portrait.name} cannot be told from the background, so it must be kept: choose "
                "another portrait, or see docs/obs.md for what finding a person needs",
                "no_matte",
            )
        if not background.startswith(IMAGE):
            return background
        path = self._images.get(background.removeprefix(IMAGE))
        if path is None:
            raise BadBackground("there is no such background image; upload it again")
        return f"{IMAGE}{path}"
