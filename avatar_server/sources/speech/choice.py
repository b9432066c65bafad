"""PURE. The voice that is asked for, among those there are."""

from __future__ import annotations

from collections.abc import Sequence

from avatar_server.sources.base import SourceError
from avatar_server.sources.speech.base import Manner, Voice


def checked(voices: Sequence[Voice], manner: Manner) -> Voice:
    """The one named, or else the first. Raises `SourceError` naming those there are."""
    if manner.voice is None:
        return voices[0]
    for voice in voices:
        if voice.id == manner.voice:
            return voice
    names = ", ".join(voice.id for voice in voices)
    raise SourceError(f"there is no voice {manner.voice!r}; choose one of {names}", "no_voice")
