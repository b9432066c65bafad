"""PURE. What was said, as captions on the media clock.

Times are samples at 48 kHz since the session's start, as they leave for the viewers: the scale
of `Sound.pts`, so a cue that starts at a sound's pts is shown with that sound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from avatar_server.playout import SAMPLE_RATE_HZ

HISTORY = 2000  # cues kept for export; the oldest are forgotten


@dataclass(frozen=True, slots=True)
class CueWord:
    text: str
    start_pts: int
    end_pts: int


@dataclass(frozen=True, slots=True)
class Cue:
    """One sentence. `start_pts` is its identity: a later cue with the same start replaces it
    (its end was an estimate until then, or it was interrupted). The last of them, told when it
    has been heard, is `final`."""

    text: str
    start_pts: int
    end_pts: int
    words: tuple[CueWord, ...] = ()
    final: bool = False


class Captions:
    """The cues of a session. `listeners` learn of each as its first word is heard, again when its
    times became exact, and when it is over."""

    def __init__(self, history: int = HISTORY) -> None:
        self.listeners: set[Callable[[Cue], None]] = set()
        self._cues: deque[Cue] = deque(maxlen=history)

    def tell(self, cue: Cue) -> None:
        if self._cues and self._cues[-1].start_pts == cue.start_pts:
            self._cues.pop()
        self._cues.append(cue)
        for listener in list(self.listeners):
            listener(cue)

    def webvtt(self) -> str:
        """All cues kept, as a WebVTT file."""
        blocks = [
            f"{_stamp(cue.start_pts)} --> {_stamp(cue.end_pts)}\n{_escaped(cue.text)}\n"
            for cue in self._cues
            if cue.text and cue.end_pts > cue.start_pts
        ]
        return "\n".join(["WEBVTT\n", *blocks])


def ms_of(pts: int) -> int:
    return round(1000 * pts / SAMPLE_RATE_HZ)


def message_of(cue: Cue) -> dict[str, object]:
    """The fields of a `caption` message."""
    return {
        "text": cue.text,
        "start_ms": ms_of(cue.start_pts),
        "end_ms": ms_of(cue.end_pts),
        "final": cue.final,
        "words": [
            {"text": word.text, "start_ms": ms_of(word.start_pts), "end_ms": ms_of(word.end_pts)}
            for word in cue.words
        ],
    }


def _stamp(pts: int) -> str:
    seconds, ms = divmod(ms_of(pts), 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{ms:03d}"


def _escaped(text: str) -> str:
    """One line without what WebVTT takes for markup or for a cue's end."""
    line = " ".join(text.split())
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
