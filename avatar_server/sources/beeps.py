"""The calibration's sound: a short beep again and again, for ever."""

from __future__ import annotations

import numpy as np

from avatar_server.errors import AvatarError
from avatar_server.sources.base import RATE_HZ, Played, Source
from sonic_stream.media import FloatArray

# No multiple of a picture's 40 ms, so that beeps begin anywhere within one; and more than twice
# the largest offset, so that a flash is never taken for that of the next beep.
PERIOD_S = 1.513
BEEP_S = 0.06


class BeepSource:
    """Never finished; the first beep comes after half a period."""

    kind = "beeps"
    finished = False
    problem: AvatarError | None = None

    def __init__(self) -> None:
        self.position = 0

    def begin(self) -> None:
        pass

    def read(self, n: int) -> FloatArray:
        time_s = (self.position + np.arange(n)) / RATE_HZ
        self.position += n
        phase_s = (time_s + PERIOD_S / 2) % PERIOD_S
        tone = 0.5 * np.sin(2 * np.pi * 1000 * phase_s)
        return np.where(phase_s < BEEP_S, tone, 0.0).astype(np.float32)

    def heard(self, position: int, pts: int) -> None:
        pass

    def interrupt(self, position: int, pts: int) -> Played:
        return Played(self.kind, round(position / RATE_HZ, 3))

    def again(self) -> Source | None:
        return None

    async def close(self) -> None:
        return None
