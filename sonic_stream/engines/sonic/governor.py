"""PURE. Fewer denoising steps while a GPU cannot keep up, more again when it can."""

from __future__ import annotations

DOWN_AFTER = 3  # late hops in a row
UP_AFTER_S = 60.0  # of hops on time


class Governor:
    """Steps of the next hop: those asked for, or half, or a quarter, …, down to one."""

    def __init__(self, steps: int) -> None:
        self._most = self.steps = steps
        self._late = 0
        self._on_time_s = 0.0

    def hop(self, hop_s: float, *, late: bool) -> bool:
        """Told of every hop, and whether its sound had waited. True when steps changed."""
        before = self.steps
        self._late = self._late + 1 if late else 0
        self._on_time_s = 0.0 if late else self._on_time_s + hop_s
        if self._late >= DOWN_AFTER:
            self._late, self.steps = 0, max(self.steps // 2, 1)
        elif self._on_time_s >= UP_AFTER_S:
            self._on_time_s, self.steps = 0.0, min(2 * self.steps, self._most)
        return self.steps != before
