"""The server's parts, built once from the configuration and closed in reverse order."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from avatar_server import protocol
from avatar_server.backgrounds import Backgrounds
from avatar_server.calibration import Calibration
from avatar_server.clock import Clock, MonotonicClock
from avatar_server.config import Config, SessionSection
from avatar_server.errors import AvatarError, WorkerFailed
from avatar_server.files import Files
from avatar_server.metrics import Metrics
from avatar_server.portraits import Portraits, PreparedPortrait
from avatar_server.profiles import Profiles
from avatar_server.rtc.peer import RtcSettings
from avatar_server.session import Session, SessionOptions, stream_options
from avatar_server.sessions import SessionPlan, Sessions
from avatar_server.sinks.outlets import Outlets
from avatar_server.sources.beeps import BeepSource
from avatar_server.sources.local import LocalMicrophones
from avatar_server.sources.speech import load_speech
from avatar_server.tokens import token_files
from avatar_server.voice import microphone_settings
from avatar_server.worker.child import EngineRequest
from avatar_server.worker.pool import StreamRequest, WorkerPool, WorkerStream

log = logging.getLogger(__name__)

LOOPBACK = ("127.0.0.1", "::1", "localhost")
AUTO, LARGE, FALLBACK = "auto", "sonic", "lite"
# Before a permanent session begins anew: doubled each time that it fails at once.
KEEP_PAUSE_S, KEEP_PAUSE_MAX_S = 1.0, 60.0


class Server:
    """Everything that outlives a request. `start` before use, `close` after."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self.config = config
        self.clock = clock or MonotonicClock()
        self.metrics = Metrics()
        media, local = config.media, config.server.host in LOOPBACK
        self._rtc = RtcSettings(tuple(media.ice_servers), tuple(media.host_addresses))
        self.files = Files(config.limits.files_kept)
        self.backgrounds = Backgrounds(config.limits.portraits_kept)
        self.speech = load_speech(config.speech.engine, config.speech.settings)
        self.microphones = LocalMicrophones(config.local)
        self.outlets = Outlets(config.sinks, self._rtc, Path(config.paths.recordings), local=local)
        self.notices: list[dict[str, str]] = []
        self._use(LARGE if config.engine.name == AUTO else config.engine.name)
        cache = config.paths.cache
        self.tokens = token_files(cache)
        self.sessions = Sessions(
            config.limits.sessions, self._open_session, self.tokens, self.clock, self.metrics
        )
        self.profiles = Profiles(Path(cache) / "profiles.json")
        self._calibration = Calibration(Path(cache), config.engine.size_px, self.clock)
        self._default: PreparedPortrait | None = None
        self._keepers: list[asyncio.Task[None]] = []

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
        await asyncio.gather(
            self.pool.start(self._default.identity),
            self.portraits.prepare_rest(),
            self.speech.warm_up(),
        )
        for section in self.config.sessions:
            plan = self._permanent(section)
            await self.sessions.create(plan)
            self._keepers.append(asyncio.create_task(self._keep(plan)))

    async def close(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await self.sessions.close()
        await self.pool.close()
        await self._calibration.close()
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

    def _permanent(self, section: SessionSection) -> SessionPlan:
        """The same token again after a restart, so that links stay good."""
        token = section.token or self.tokens.read(section.id)
        settings = protocol.Settings(lip_sync_offset_ms=section.lip_sync_offset_ms)
        return SessionPlan(section.id, token, section.portrait, settings, alive_s=math.inf)

    async def _keep(self, plan: SessionPlan) -> None:
        """Begin a permanent session anew whenever it has ended."""
        plan = replace(plan, token=self.sessions.get(plan.id).options.token)
        pause_s = KEEP_PAUSE_S
        while True:
            since_s = self.clock.now_s()
            await self.sessions.ended(plan.id)
            lived_s = self.clock.now_s() - since_s
            pause_s = KEEP_PAUSE_S if lived_s > KEEP_PAUSE_MAX_S else pause_s
            await self.clock.sleep_until_s(self.clock.now_s() + pause_s)
            pause_s = min(2 * pause_s, KEEP_PAUSE_MAX_S)
            try:
                await self.sessions.create(plan)
            except AvatarError as error:
                log.warning("session %s did not come back yet: %s", plan.id, error)

    async def _worker(
        self, plan: SessionPlan, portrait: PreparedPortrait, background: str
    ) -> WorkerStream:
        bitrate_bps = self.config.media.bitrate_bps
        if plan.calibrate:
            return await self._calibration.open(bitrate_bps)
        options = stream_options(plan.settings, background)
        return await self.pool.open(StreamRequest(portrait.identity, options, bitrate_bps))

    async def _open_session(self, plan: SessionPlan) -> Session:
        if self._default is None:
            raise AvatarError("the server is still starting; try again in a moment", "starting")
        microphone_settings(plan.settings).check()
        portrait = self.portraits.get(plan.portrait) if plan.portrait else self._default
        background = self.backgrounds.resolved(plan.settings.background, portrait)
        worker = await self._worker(plan, portrait, background)
        media, limits = self.config.media, self.config.limits
        options = SessionOptions(
            id=plan.id,
            token=plan.token,
            portrait=portrait.id,
            margin_ms=media.margin_ms,
            heartbeat_s=limits.heartbeat_s if plan.alive_s is None else plan.alive_s,
            viewer_limit=limits.viewers_per_session,
            rtc=self._rtc,
        )
        session = Session(options, worker, self.clock, self.metrics)
        session.configure(plan.settings, background)
        if plan.calibrate:
            session.voice.enqueue(BeepSource())
        return session
