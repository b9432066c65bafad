"""The tokens of the live sessions, each in a file that only this user can read.

Whoever runs a program as the same user on the same machine may command the avatar: that is how
`avatar-server say` finds its session. Everyone else needs to be told the token.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)


class TokenFiles:
    """One file per session in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, ident: str) -> str:
        """The token of a session; empty when there is none."""
        try:
            return self._path(ident).read_text("ascii").strip()
        except OSError:
            return ""

    def write(self, ident: str, token: str) -> None:
        """A session goes on without its file where that cannot be written."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path(ident).unlink(missing_ok=True)
            file = os.open(self._path(ident), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "w", encoding="ascii") as out:
                out.write(token + "\n")
        except (OSError, UnicodeEncodeError) as error:
            log.warning("the token of session %s is not kept: %s", ident, error)

    def remove(self, ident: str) -> None:
        try:
            self._path(ident).unlink(missing_ok=True)
        except OSError as error:
            log.warning("the token of session %s stays behind: %s", ident, error)

    def _path(self, ident: str) -> Path:
        return self._folder / f"{Path(ident).name}.token"


def token_files(cache: str) -> TokenFiles:
    return TokenFiles(Path(cache) / "sessions")
