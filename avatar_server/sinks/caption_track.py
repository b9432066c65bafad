"""PURE. What is written of captions that are told several times, each time with surer times."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """From the file's beginning."""

    text: str
    start_ms: int
    end_ms: int


class CaptionTrack:
    """Each is written once, when it is over: with the words that were heard, and the end where
    the voice ended. What is being said when the file ends is written up to there.

    Lines follow each other: none begins before the last one's end, or before the file."""

    def __init__(self) -> None:
        self.end_ms = 0  # of the last line
        self._going_on: tuple[str, int] | None = None  # its text and start

    def told(self, text: str, start_ms: int, end_ms: int, *, final: bool) -> Line | None:
        """The line that is to be written now. `start_ms` may be before the file's beginning."""
        self._going_on = None if final else (text, start_ms)
        return self._line(text, start_ms, end_ms) if final else None

    def close(self, now_ms: int) -> Line | None:
        """The last line, if one is being said."""
        if self._going_on is None:
            return None
        text, start_ms = self._going_on
        return self._line(text, start_ms, now_ms)

    def _line(self, text: str, start_ms: int, end_ms: int) -> Line | None:
        start_ms = max(start_ms, self.end_ms)
        if not text or end_ms <= start_ms:
            return None
        self.end_ms = end_ms
        return Line(text, start_ms, end_ms)
