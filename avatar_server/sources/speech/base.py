"""What a text-to-speech engine is."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from sonic_stream.media import FloatArray

# After these a listener expects a breath, so the voice may start before the rest is made.
SENTENCE_END = re.compile(r"(?<=[.!?;:\n])\s+|(?<=[。！？；])\s*")
HAN = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Voice:
    """`language` is a BCP 47 tag."""

    id: str
    name: str
    language: str


class TextToSpeech(Protocol):
    def voices(self) -> list[Voice]: ...

    def synthesize(self, text: str, voice: str | None) -> AsyncIterator[FloatArray]:
        """Mono float32 at 48 kHz, in pieces, sentence by sentence. Raises `SourceError`.

        Without `voice` the text's script decides. May be abandoned at any time.
        """
        ...

    async def close(self) -> None: ...


def sentences(text: str) -> list[str]:
    """The text without control characters, cut where a voice pauses."""
    clean = "".join(c if c.isprintable() or c.isspace() else " " for c in text)
    return [part for part in SENTENCE_END.split(clean) if part and not part.isspace()]


def is_chinese(text: str) -> bool:
    return bool(HAN.search(text))
