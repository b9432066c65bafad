"""The server's parts, built once from the configuration and closed in reverse order."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from avatar_server.backgrounds import Backgrounds
from avatar_server.clock import Clock, MonotonicClock
from avatar_server.config import Config
from avatar_server.errors import AvatarError, WorkerFailed
from avatar_server.files import Files
from avatar_server.metrics import Metrics
from avatar_server.portraits import Portraits, PreparedPortrait
from avatar_server.rtc.peer import RtcSettings
from avatar_server.session import Session, SessionOptions
from avatar_server.sessions import Sessions
from avatar_server.sources.speech import EspeakSpeech
from avatar_server.worker.pool import EngineRequest, StreamRequest, WorkerPool
from sonic_stream.engine import StreamOptions

log = logging.getLogger(__name__)

AUTO, LARGE, FALLBACK = "auto", "sonic", "lite"


class Server:
    """Everything that outlives a request. `start` before use, `close` after."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self.config = config
        self.clock = clock or MonotonicClock()
        self.metrics = Metrics()
        self.files = Files(config.limits.files_kept)
        self.backgrounds = Backgrounds(config.limits.portraits_kept)
        self.speech = EspeakSpeech()
        self.notices: list[dict[str, str]] = []
        self._use(LARGE if config.engine.name == AUTO else config.engine.name)
        self.sessions = Sessions(
            config.limits.sessions, self._open_session, self.clock, self.metrics
        )
        self._default: PreparedPortrait | None = None

    def _use(self, engine: str) -> None:
        """Which engine draws, from now on."""
        section = self.config.engine
        fallback = section.name == AUTO and engine == FALLBACK
        section = section.model_copy(
            update={"name": engine} | ({"settings": {}} if fallback else {})
        )
        self.portraits = Portraits(
            section, Path(self.config.paths.cache), self.config.limits.portraits_kept
        )
        request = EngineRequest(
            section.name, section.size_px, section.settings, section.start_timeout_s
        )
        self.pool = WorkerPool(request, self.clock, limit=self.config.limits.sessions)

    async def _choose(self) -> None:
        """With "auto", whether the large engine runs here is found out by starting it."""
        try:
            await self.pool.start()
        except WorkerFailed as error:
            await self.pool.close()
            message = f"The embedded engine is used: {error}"
            log.warning("%s", message)
            self.notices.append({"code": "engine", "message": message})
            self._use(FALLBACK)

    @property
    def ready(self) -> bool:
        return self._default is not None and self.sessions.accepting

    async def start(self) -> None:
        """Raises `AvatarError` when an avatar or the engine cannot be made ready."""
        if self.config.engine.name == AUTO:
            await self._choose()
        self._default = await self.portraits.prepare_default()
        await asyncio.gather(self.pool.start(), self.portraits.prepare_rest())

    async def close(self) -> None:
        await self.sessions.close()
        await self.pool.close()
        await self.speech.close()
        self.files.close()

    def welcome(self, session: Session) -> dict[str, Any]:
        spec = session.worker.spec
        voices = self.speech.voices()
        return {
            "session": session.id,
            "engine": spec.engine,
            "fps": float(spec.fps),
            "size_px": spec.size_px,
            "latency_ms": session.latency_ms,
            "settings": session.settings.model_dump(),
            "portrait": session.portrait,
            "portraits": self.portraits.listing(),
            "voices": [{"id": v.id, "name": v.name, "language": v.language} for v in voices],
            "ice_servers": list(self.config.media.ice_servers),
            "notices": self.notices,
        }

    async def _open_session(self, ident: str, token: str) -> Session:
        if self._default is None:
            raise AvatarError("the server is still starting; try again in a moment", "starting")
        worker = await self.pool.open(
            StreamRequest(
                identity=self._default.identity,
                options=StreamOptions(),
                bitrate_bps=self.config.media.bitrate_bps,
            )
        )
        media, limits = self.config.media, self.config.limits
        options = SessionOptions(
            id=ident,
            token=token,
            portrait=self._default.id,
            margin_ms=media.margin_ms,
            heartbeat_s=limits.heartbeat_s,
            viewer_limit=limits.viewers_per_session,
            rtc=RtcSettings(
                ice_servers=tuple(media.ice_servers), host_addresses=tuple(media.host_addresses)
            ),
        )
        return Session(options, worker, self.clock, self.metrics)
