"""A spoken text as a source, with captions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import numpy as np

from avatar_server.captions import Cue, CueWord
from avatar_server.sources.base import RATE_HZ, MadeAhead, Played
from avatar_server.sources.speech.base import (
    Manner,
    TextToSpeech,
    Word,
    sentences,
    timed_words,
    usual_length_s,
)

BUFFER_S = 20.0  # most sentences are whole, and their times known, before they are heard


@dataclass(slots=True)
class _Sentence:
    """`start` and `end` in the source's own samples; `end` is None until it was made."""

    text: str
    start: int
    end: int | None = None
    words: dict[int, Word] = field(default_factory=dict)  # as the engine told, by their `until`
    told: Cue | None = None

    def length(self, rate: float) -> int:
        if self.end is not None:
            return self.end - self.start
        known = max((word.start for word in self.words.values()), default=0)
        return max(int(usual_length_s(self.text) / rate * RATE_HZ), known)

    def spoken(self, rate: float) -> tuple[Word, ...]:
        return timed_words(self.text, self.words.values(), self.length(rate))

    def cue(self, rate: float, start_pts: int) -> Cue:
        words = self.spoken(rate)
        end_pts = start_pts + self.length(rate)
        ends = [start_pts + word.start for word in words[1:]] + [end_pts]
        cue_words = (
            CueWord(word.text, start_pts + word.start, end)
            for word, end in zip(words, ends, strict=True)
        )
        return Cue(self.text, start_pts, end_pts, tuple(cue_words) if words else ())


class SpeechSource(MadeAhead):
    """Begins to speak as soon as the first piece is there; a failure ends it early. `on_cue`
    gets each sentence as its first word is heard, again when its times became exact,
    and when it is over."""

    kind = "tts"

    def __init__(
        self,
        engine: TextToSpeech,
        text: str,
        manner: Manner | None = None,
        on_cue: Callable[[Cue], None] = lambda _: None,
    ) -> None:
        super().__init__(BUFFER_S)
        self._engine = engine
        self._manner = manner or Manner()
        self._to_make = sentences(text)
        self._unheard: list[_Sentence] = []
        self._on_cue = on_cue
        self._made = 0

    def heard(self, position: int, pts: int) -> None:
        shift = pts - position
        for sentence in list(self._unheard):
            if sentence.start >= position:
                return
            start_pts = sentence.told.start_pts if sentence.told else shift + sentence.start
            over = sentence.end is not None and position >= sentence.end
            cue = replace(sentence.cue(self._manner.rate, start_pts), final=over)
            if cue != sentence.told:
                sentence.told = cue
                self._on_cue(cue)
            if over:
                self._unheard.remove(sentence)

    def interrupt(self, position: int, pts: int) -> Played:
        self.heard(position, pts)
        rest = [sentence.text for sentence in self._unheard] + self._to_make
        last: Word | None = None
        if self._unheard and self._unheard[0].start < position:
            current = self._unheard[0]
            words = current.spoken(self._manner.rate)
            begun = [word for word in words if word.start < position - current.start]
            last = begun[-1] if begun else None
            until = last.until if last else 0
            rest[0] = current.text[until:]
            self._cut_short(current, until, len(begun), pts)
        remaining = " ".join(part.strip() for part in rest if part.strip())
        return Played(
            self.kind, round(position / RATE_HZ, 3), last.text if last else None, remaining
        )

    def _cut_short(self, sentence: _Sentence, until: int, words: int, pts: int) -> None:
        cue = sentence.told
        if cue is None:
            return
        heard = [
            CueWord(word.text, word.start_pts, min(word.end_pts, pts)) for word in cue.words[:words]
        ]
        self._on_cue(Cue(sentence.text[:until], cue.start_pts, pts, tuple(heard), final=True))

    async def _make(self) -> None:
        while self._to_make:
            sentence = _Sentence(self._to_make.pop(0), self._made)
            self._unheard.append(sentence)
            try:
                await self._speak(sentence)
            finally:
                sentence.end = self._made

    async def _speak(self, sentence: _Sentence) -> None:
        async with aclosing(self._engine.synthesize(sentence.text, self._manner)) as pieces:
            async for piece in pieces:
                for word in piece.words:
                    sentence.words.setdefault(word.until, word)
                self._queue.put(np.clip(piece.samples, -1.0, 1.0))
                self._made += len(piece.samples)
                await self._queue.room()
