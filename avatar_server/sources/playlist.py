"""Sources one after the other: what `say`, `play` and PCM clients queue; and what was heard."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from avatar_server.errors import AvatarError
from avatar_server.sources.base import Played, Source
from avatar_server.sources.join import Join
from sonic_stream.media import FloatArray

MAX_QUEUED = 50
HISTORY = 20  # how far back `previous` goes


class QueueFull(AvatarError):
    code = "queue_full"
    status = 429


@dataclass(frozen=True, slots=True)
class _Given:
    """`count` samples of `source`, the first of them its `position`th, given at `pts`."""

    pts: int
    source: Source
    position: int
    count: int


class Playlist:
    """Plays in order, without a gap; the first of the queue is the one that is heard.

    `loop`: a file that ended is queued again. `volume` is reached within one read, without a
    click. `on_problem` learns why a source ended early.
    """

    def __init__(self, on_problem: Callable[[AvatarError], None] = lambda _: None) -> None:
        self.loop = False
        self.volume = 1.0
        self.paused = False
        self._on_problem = on_problem
        self._queue: deque[Source] = deque()
        self._next_round: Source | None = None  # a lone looped file, made ahead
        self._past: deque[Source] = deque(maxlen=HISTORY)
        self._given: deque[_Given] = deque()
        self._join = Join()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def queue_length(self) -> int:
        return len(self._queue)

    @property
    def sounding(self) -> bool:
        """Whether it has the floor: something is queued, and it is not pausing."""
        return bool(self._queue) and not (self.paused and self._join.gain == 0.0)

    @property
    def kind(self) -> str:
        return self._queue[0].kind if self._queue else "idle"

    def enqueue(self, source: Source) -> None:
        """Raises `QueueFull`; the source is closed then."""
        if len(self._queue) >= MAX_QUEUED:
            self._close(source)
            raise QueueFull(f"{MAX_QUEUED} items are waiting already; stop or wait")
        self._queue.append(source)
        self._begin()

    def read(self, n: int, pts: int) -> FloatArray:
        """The next samples, which get media time `pts`; a source begins where one ends."""
        self._prepare_loop()
        out = np.zeros(n, np.float32)
        filled = 0
        while self.sounding and filled < n:
            source = self._queue[0]
            position = source.position
            samples = source.read(n - filled)
            count = source.position - position
            out[filled : filled + count] = samples[:count]
            if count:
                self._given.append(_Given(pts + filled, source, position, count))
            filled += count
            if not source.finished:
                break
            self._end_first()
        return self._join.shape(out, filled, 0.0 if self.paused else self.volume)

    def heard(self, timeline_pts: int, delay: int) -> None:
        """Everything before `timeline_pts` has left, `delay` samples later than it was given."""
        while self._given and self._given[0].pts + self._given[0].count <= timeline_pts:
            given = self._given.popleft()
            end = given.pts + given.count + delay
            given.source.heard(given.position + given.count, end)

    def skip(self, timeline_pts: int, delay: int, *, back: bool = False) -> Played | None:
        """To the next one, or back to the one before; tells what was heard of what was on.

        What was given after `timeline_pts` is to stay unheard.
        """
        unheard = self._take_back(timeline_pts, delay)
        if not unheard:
            return None
        on, position = unheard[0]
        played = on.interrupt(position, timeline_pts + delay)
        if back:
            self._go_back()
        elif on is self._queue[0]:
            self._end_first()
        self._begin()
        return played

    def cut(self, timeline_pts: int, delay: int) -> Played | None:
        """Forget everything, now; tells what was heard of what was on."""
        unheard = self._take_back(timeline_pts, delay)
        known = {id(source) for source, _ in unheard}
        unheard += [(source, 0) for source in self._queue if id(source) not in known]
        played = [source.interrupt(position, timeline_pts + delay) for source, position in unheard]
        self._drop_all()
        self.paused = False
        return played[0] if played else None

    async def close(self) -> None:
        """Forget everything and wait until it is closed."""
        self._drop_all()
        if self._closing:
            await asyncio.wait(self._closing)

    def _take_back(self, timeline_pts: int, delay: int) -> list[tuple[Source, int]]:
        """The sources with unheard sound, in order, and how far each was heard; the first one
        of the queue even when all that it gave was heard."""
        self.heard(timeline_pts, delay)
        unheard: dict[int, tuple[Source, int]] = {}
        for given in self._given:
            position = given.position + max(timeline_pts - given.pts, 0)
            unheard.setdefault(id(given.source), (given.source, position))
        if self._queue:
            first = self._queue[0]
            unheard.setdefault(id(first), (first, first.position))
        self._given.clear()
        self._join.silence()
        return list(unheard.values())

    def _go_back(self) -> None:
        former = self._queue.pop() if self.loop and len(self._queue) > 1 else None
        if former is None and self._past:
            former = self._past.pop()
        if (spare := self._take_next_round()) is not None:
            self._close(spare)
        if self._queue:
            current = self._queue.popleft()
            self._close(current)
            if (fresh := current.again()) is not None:
                self._queue.appendleft(fresh)
        if former is not None:
            self._queue.appendleft(former)

    def _begin(self) -> None:
        """The second one makes its sound ahead already, so that it joins without a gap."""
        for source in list(self._queue)[:2]:
            source.begin()

    def _prepare_loop(self) -> None:
        if self.loop and len(self._queue) == 1 and self._next_round is None:
            self._next_round = self._queue[0].again()
            if self._next_round is not None:
                self._next_round.begin()

    def _take_next_round(self) -> Source | None:
        spare, self._next_round = self._next_round, None
        return spare

    def _end_first(self) -> None:
        source = self._queue.popleft()
        if source.problem is not None:
            self._on_problem(source.problem)
        spare = self._take_next_round()
        again = self.loop and source.position > 0  # an empty one would be tried for ever
        fresh = spare if again and spare is not None else source.again()
        if spare is not None and spare is not fresh:
            self._close(spare)
        if fresh is not None:
            (self._queue if again else self._past).append(fresh)
        self._close(source)
        self._begin()

    def _drop_all(self) -> None:
        if (spare := self._take_next_round()) is not None:
            self._close(spare)
        for source in self._queue:
            self._close(source)
        self._queue.clear()

    def _close(self, source: Source) -> None:
        task = asyncio.create_task(source.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
