"""PURE. What is written of captions that are told several times, each time with surer times."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """From the file's beginning."""

    text: str
    start_ms: int
    duration_ms: int


class CaptionTrack:
    """A WebM takes a line at any time: `on_time` False, each is written once, when it is over and
    its times are sure. An MP4 wants its samples in time and without overlap, as pieces are closed
    behind them: each is written as it begins, with the end that is expected then, and the next one
    waits for that end even if the line was interrupted.

    Lines begin one after the other: what would come at or before the last one's start is left out.
    """

    def __init__(self, *, on_time: bool) -> None:
        self._on_time = on_time
        self._newest_ms = -1  # when the newest line begins
        self._end_ms = 0  # and ends
        self._told_ms: int | None = None  # the newest caption's own start

    def told(self, text: str, times_ms: tuple[int, int], now_ms: int, *, final: bool) -> list[Line]:
        """`times_ms`: start and end of the caption, from the file's beginning, where it may have
        begun before; `now_ms`: the sound that is written."""
        start_ms, end_ms = times_ms
        if not self._on_time:
            wanted = final and bool(text)
            return self._written(text, max(start_ms, 0), end_ms) if wanted else []
        if not text or start_ms == self._told_ms:
            return []
        self._told_ms = start_ms
        return self._written(text, max(start_ms, now_ms, self._end_ms), end_ms)

    def _written(self, text: str, start_ms: int, end_ms: int) -> list[Line]:
        if start_ms <= self._newest_ms or end_ms <= start_ms:
            return []
        self._newest_ms, self._end_ms = start_ms, end_ms
        return [Line(text, start_ms, end_ms - start_ms)]
