"""Admission and lifetime: how many sessions there are, and that each one ends."""

from __future__ import annotations

import asyncio
import gc
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from avatar_server import protocol
from avatar_server.clock import Clock
from avatar_server.errors import (
    AvatarError,
    BadToken,
    Draining,
    NoSession,
    NoToken,
    ServerFull,
    WorkerFailed,
)
from avatar_server.metrics import Metrics
from avatar_server.session import Session, end
from avatar_server.tokens import TokenFiles

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """What is asked of a new session. What is empty is made up, or the server's default.

    `alive_s`: unheard of and unwatched for so long, it ends; infinite: never.
    `calibrate`: the testcard's pictures and a beep a second, to measure with.
    """

    id: str = ""
    token: str = ""
    portrait: str = ""
    settings: protocol.Settings = field(default_factory=protocol.Settings)
    alive_s: float | None = None
    calibrate: bool = False


Opener = Callable[[SessionPlan], Awaitable[Session]]


class Sessions:
    """`opener` builds a session; a place is taken before it is awaited. `tokens` tells the
    user's own programs."""

    def __init__(
        self, limit: int, opener: Opener, tokens: TokenFiles, clock: Clock, metrics: Metrics
    ) -> None:
        self._tokens = tokens
        self._limit = limit
        self._opener = opener
        self._clock = clock
        self._metrics = metrics
        self._live: dict[str, tuple[Session, asyncio.Task[None], float]] = {}
        self._opening = 0
        self._draining = False
        metrics.viewers.set_function(
            lambda: sum(len(session.viewers) for session, _, _ in self._live.values())
        )

    @property
    def accepting(self) -> bool:
        return not self._draining and len(self._live) + self._opening < self._limit

    async def create(self, plan: SessionPlan | None = None) -> Session:
        """Raises `ServerFull`, `Draining` or `WorkerFailed`."""
        plan = plan or SessionPlan()
        plan = replace(
            plan,
            id=plan.id or secrets.token_urlsafe(9),
            token=plan.token or secrets.token_urlsafe(24),
        )
        if self._draining:
            raise Draining("the server is shutting down; try again in a minute")
        if not self.accepting:
            raise ServerFull(f"all {self._limit} sessions are taken; try again when one has ended")
        self._opening += 1
        try:
            session = await self._opener(plan)
        finally:
            self._opening -= 1
        self._tokens.write(session.id, plan.token)
        task = asyncio.create_task(self._supervise(session), name=f"session {session.id}")
        # What it leaves in cycles, connections most of all, goes at once: see `cli`.
        task.add_done_callback(lambda _: gc.collect())
        self._live[session.id] = (session, task, self._clock.now_s())
        self._metrics.sessions.set(len(self._live))
        return session

    def get(self, ident: str) -> Session:
        """Raises `NoSession`."""
        entry = self._live.get(ident)
        if entry is None:
            raise NoSession(f"there is no session {ident!r}; it may have ended")
        return entry[0]

    def resume(self, ident: str, token: str | None) -> Session:
        """Raises `NoSession` or `BadToken`."""
        session = self.get(ident)
        if not token:
            raise NoToken("this needs the session's token: Authorization: Bearer TOKEN")
        if not hmac.compare_digest(token.encode(), session.options.token.encode()):
            raise BadToken("this token does not belong to this session")
        session.heard()
        return session

    def holder(self, token: str | None) -> Session:
        """The live session that this token belongs to. Raises `NoToken` or `BadToken`."""
        if not token:
            raise NoToken(
                "this needs the token of a session: Authorization: Bearer TOKEN; "
                "POST /api/sessions makes one"
            )
        for session, _, _ in self._live.values():
            if hmac.compare_digest(token.encode(), session.options.token.encode()):
                session.heard()
                return session
        raise BadToken("this token belongs to no session that is live")

    async def ended(self, ident: str) -> None:
        """Wait until a session is no more."""
        if ident in self._live:
            await asyncio.wait({self._live[ident][1]})

    def newest(self) -> Session:
        """Raises `NoSession`."""
        if not self._live:
            raise NoSession("there is no session; open the studio page, or create one")
        return next(reversed(self._live.values()))[0]

    def listing(self) -> list[dict[str, object]]:
        now_s = self._clock.now_s()
        return [
            {
                "id": session.id,
                "viewers": len(session.viewers),
                "source": session.voice.kind,
                "uptime_s": round(now_s - since_s, 1),
            }
            for session, _, since_s in self._live.values()
        ]

    async def drain(self, patience_s: float) -> None:
        """Refuse newcomers, let the live sessions end by themselves, then end them."""
        self._draining = True
        for session, _, _ in self._live.values():
            session.tell(
                protocol.encode(
                    "notice", code="draining", message="The server is about to restart."
                )
            )
        tasks = [task for _, task, _ in self._live.values()]
        if tasks and patience_s > 0:
            await asyncio.wait(tasks, timeout=patience_s)
        await self.close()

    async def close(self) -> None:
        self._draining = True
        await asyncio.gather(*(end(task) for _, task, _ in list(self._live.values())))

    async def _supervise(self, session: Session) -> None:
        try:
            await session.run()
        except AvatarError as error:
            log.warning("session %s ended: %s", session.id, error)
            session.tell(protocol.encode_error(error))
        except Exception:
            log.exception("session %s failed", session.id)
            failure = WorkerFailed("the session failed inside the server; its log says why")
            session.tell(protocol.encode_error(failure))
        finally:
            self._live.pop(session.id, None)
            if not session.options.permanent:
                self._tokens.remove(session.id)
            self._metrics.sessions.set(len(self._live))
