"""PURE. When a sink asks for a key frame."""

from __future__ import annotations

from fractions import Fraction

from sonic_stream.media import MediaPacket

EVERY_S = Fraction(
    8, 5
)  # asked for so long after the last; the picture's latency makes it two seconds
AGAIN_S = Fraction(3, 5)  # an unanswered request is repeated


class Keyframes:
    """Lets packets through from a key frame on, and says when to ask for one: at the start,
    after `lost`, and, with `periodic`, often enough for players that join and files that are
    sought through. Sinks of one codec see the same packets, so they ask in the same tick."""

    def __init__(self, *, periodic: bool) -> None:
        self._periodic = periodic
        self._last: Fraction | None = None  # media time of the last key frame that was taken
        self._asked: Fraction | None = None

    def lost(self) -> None:
        """What comes next cannot be shown without a new key frame."""
        self._last = None

    def take(self, packet: MediaPacket) -> tuple[bool, bool]:
        """Whether to use this packet, and whether to ask now."""
        now = packet.pts * packet.time_base
        if packet.keyframe:
            self._last, self._asked = now, None
            return True, False
        due = self._last is None or (self._periodic and now - self._last >= EVERY_S)
        ask = due and (self._asked is None or not 0 <= now - self._asked < AGAIN_S)
        if ask:
            self._asked = now
        return self._last is not None, ask
