"""PURE. What a text-to-speech engine is, and how a text is cut for it."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sonic_stream.media import FloatArray

# After these a listener expects a breath, so the voice may start before the rest is made.
SENTENCE_END = re.compile(r"(?<=[.!?;:\n])\s+|(?<=[。！？；])\s*")
CLAUSE_END = re.compile(r"(?<=[,，、])\s*|\s+")
HAN = re.compile(r"[\u3400-\u9fff]")
WORD = re.compile(r"[\u3400-\u9fff][，。！？；：、”’）]*|[^\s\u3400-\u9fff]+")
MAX_SENTENCE = 300  # characters; a longer one is cut at a comma or between words
LETTERS_PER_S, HAN_PER_S = 15.0, 4.5  # of a voice at its ordinary rate


@dataclass(frozen=True, slots=True)
class Voice:
    """`language` is a BCP 47 tag."""

    id: str
    name: str
    language: str


@dataclass(frozen=True, slots=True)
class Manner:
    """How a text is spoken. Without `voice` the text's script decides; `rate` is a factor."""

    voice: str | None = None
    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Word:
    """One of a sentence's `tokens`: it begins `start` samples (48 kHz) after the sentence did;
    `until` is where it ends in the text."""

    text: str
    start: int
    until: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Mono float32 at 48 kHz, and the words whose beginnings became known with it."""

    samples: FloatArray
    words: tuple[Word, ...] = ()


class TextToSpeech(Protocol):
    def voices(self) -> list[Voice]:
        """Empty where the engine cannot work here."""
        ...

    def check(self, manner: Manner) -> None:
        """Raises `SourceError` when it cannot speak in this manner, saying what to do."""
        ...

    def synthesize(self, sentence: str, manner: Manner) -> AsyncGenerator[Piece]:
        """One of `sentences`, in pieces as they are made. Raises `SourceError`. May be abandoned
        at any time."""
        ...

    async def warm_up(self) -> None:
        """Do now what would delay the first word. Never raises: a failure shows when it speaks."""
        ...

    async def close(self) -> None: ...


def sentences(text: str) -> list[str]:
    """The text without control characters, cut where a voice pauses."""
    clean = "".join(c if c.isprintable() or c.isspace() else " " for c in text)
    parts = (part.strip() for part in SENTENCE_END.split(clean))
    return [piece for part in parts if part for piece in _cut(part)]


def _cut(sentence: str) -> list[str]:
    """Pieces of at most `MAX_SENTENCE` characters, at commas or spaces where there are any."""
    pieces = []
    while len(sentence) > MAX_SENTENCE:
        breaks = [m.end() for m in CLAUSE_END.finditer(sentence, 1, MAX_SENTENCE)]
        commas = [at for at in breaks if sentence[:at].rstrip().endswith((",", "，", "、"))]
        at = max(commas or breaks or [MAX_SENTENCE])
        pieces.append(sentence[:at].strip())
        sentence = sentence[at:].strip()
    return [*pieces, sentence] if sentence else pieces


def is_chinese(text: str) -> bool:
    return bool(HAN.search(text))


def usual_length_s(text: str) -> float:
    """About how long it takes to say."""
    han = len(HAN.findall(text))
    return 0.3 + han / HAN_PER_S + (len(text) - han) / LETTERS_PER_S


def tokens(text: str) -> list[re.Match[str]]:
    """What captions count as words: what stands between spaces, and each Chinese character."""
    return list(WORD.finditer(text))


def timed_words(text: str, measured: Iterable[Word], length: int) -> tuple[Word, ...]:
    """All words of a sentence of `length` samples. Those that the engine told of begin when it
    said; the others are spread between them by how long they are to say."""
    found = tokens(text)
    weights = np.cumsum([0.0, *(usual_length_s(match[0]) - 0.2 for match in found)])
    starts = {match.end(): weight for match, weight in zip(found, weights, strict=False)}
    known = {0.0: 0}
    for word in measured:
        if word.until in starts:
            known[float(starts[word.until])] = max(word.start, *known.values())
    known[float(weights[-1])] = max(length, *known.values())
    places = sorted(known)
    samples = [known[place] for place in places]
    return tuple(
        Word(match[0], int(np.interp(weight, places, samples)), match.end())
        for match, weight in zip(found, weights, strict=False)
    )
