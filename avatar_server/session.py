"""One avatar's life: source -> timeline -> worker -> playout -> viewers. The program's story.

Audio is the master clock. Every 20 ms of wall time one tick appends 20 ms of the voice to the
timeline; the picture tap feeds the worker, the sound tap (later by the declared latency)
feeds the viewers, and encoded pictures of the same media instant leave in the same tick.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from avatar_server import protocol
from avatar_server.captions import Captions, message_of, ms_of
from avatar_server.clock import Clock
from avatar_server.errors import AvatarError, WorkerFailed
from avatar_server.metrics import Metrics
from avatar_server.playout import (
    TICK_S,
    TICK_SAMPLES,
    LipSync,
    PictureFeed,
    PictureGate,
    samples_of_ms,
    timeline_for,
)
from avatar_server.rtc.peer import RtcSettings, ViewerOffer
from avatar_server.sinks.base import Feed, SinkError, Sinks
from avatar_server.sinks.webrtc import Viewers
from avatar_server.sources.base import Played
from avatar_server.stats import SessionStats
from avatar_server.voice import Voice
from avatar_server.worker.pool import (
    WorkerError,
    WorkerRestarted,
    WorkerStats,
    WorkerStream,
)
from sonic_stream.engine import StreamOptions
from sonic_stream.media import FloatArray, MediaPacket

log = logging.getLogger(__name__)

# A pause of the whole process longer than this is not caught up with; media time just waits.
REANCHOR_S = 0.5
VIEWERS = "viewers"  # the sink that is always there


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What a session is given by the application."""

    id: str
    token: str
    portrait: str
    margin_ms: int
    heartbeat_s: float
    viewer_limit: int
    rtc: RtcSettings

    @property
    def permanent(self) -> bool:
        """Never given up, however long nobody is heard of."""
        return math.isinf(self.heartbeat_s)


class Session:
    """See the module. `listeners` receive every message meant for the session's clients."""

    def __init__(
        self, options: SessionOptions, worker: WorkerStream, clock: Clock, metrics: Metrics
    ) -> None:
        self.options = options
        self.settings = protocol.Settings()
        self.background = "keep"
        self.portrait = options.portrait
        self.latency_ms = worker.spec.latency_ms + options.margin_ms
        self.captions = Captions()
        self.captions.listeners.add(
            lambda cue: self.tell(protocol.encode("caption", **message_of(cue)))
        )
        self.voice = Voice(lambda problem: self.notify(problem.code, str(problem)))
        self.sinks = Sinks(worker.set_codecs, clock)
        self.viewers = Viewers(
            options.rtc, options.viewer_limit, self.sinks.refresh, worker.request_keyframe, clock
        )
        self.sinks.add(VIEWERS, self.viewers)
        self.feed = Feed(
            fps=worker.spec.fps,
            size_px=worker.spec.size_px,
            latency_samples=samples_of_ms(self.latency_ms),
            clock=clock,
            request_keyframe=worker.request_keyframe,
            refresh=self.sinks.refresh,
            tell=self.notify,
            captions=self.captions,
        )
        self.listeners: set[Callable[[str], None]] = set()
        self._present: dict[str, asyncio.Event] = {}
        self.worker = worker
        self.stats = SessionStats(metrics, clock, self.latency_ms)
        self._clock = clock
        self._playout = _Playout(self.latency_ms, PictureGate(self.latency_ms, worker.spec.fps))
        self._heard_s = clock.now_s()
        self._finished = asyncio.Event()

    @property
    def id(self) -> str:
        return self.options.id

    async def run(self) -> None:
        """Live until nobody controls or watches any more. Raises `WorkerFailed`."""
        try:
            async with asyncio.TaskGroup() as group:
                pace = group.create_task(self._pace(), name="pace")
                collect = group.create_task(self._collect(), name="collect")
                report = group.create_task(self._report(), name="report")
                ends = {
                    group.create_task(self._abandoned(), name="abandoned"),
                    group.create_task(self._finished.wait(), name="finished"),
                }
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for task in (pace, collect, report, *ends):
                    task.cancel()
        except* AvatarError as group_error:
            raise group_error.exceptions[0] from None
        finally:
            await self.voice.close()
            await self.sinks.close()
            await self.worker.close()
            for evicted in self._present.values():
                evicted.set()

    # What clients may do.

    def finish(self) -> None:
        """End now, whoever watches."""
        self._finished.set()

    def heard(self) -> None:
        """The studio gave a sign of life."""
        self._heard_s = self._clock.now_s()

    def enter(self, viewer: str) -> asyncio.Event:
        """A client speaks for `viewer` from now on. The event tells that another one took over
        or that the session ended."""
        if viewer in self._present:
            self._present[viewer].set()
        evicted = self._present[viewer] = asyncio.Event()
        return evicted

    async def connect(
        self, viewer: str, offer: ViewerOffer, *, offset_ms: int | None = None
    ) -> str:
        """Answer a viewer's offer with SDP. Raises `ServerFull` or `BadOffer`."""
        peer = await self.viewers.join(viewer, offer, offset_ms=offset_ms)
        if offer.want_mic:
            self.voice.attach("mic", peer.mic)
        return peer.answer_sdp

    async def close_sink(self, ident: str) -> None:
        """Raises `SinkError` when it was not opened."""
        if ident == VIEWERS:
            raise SinkError("the viewers cannot be closed", "no_sink")
        await self.sinks.remove(ident)

    def show(self, portrait: str, identity: Path) -> None:
        """Another portrait from the next picture on."""
        self.portrait = portrait
        self.worker.set_identity(identity)

    def tell(self, message: str) -> None:
        for listener in list(self.listeners):
            listener(message)

    def notify(self, code: str, message: str) -> None:
        self.tell(protocol.encode("notice", code=code, message=message))

    def tell_state(self) -> None:
        self.tell(protocol.encode("state", **self.state()))

    def state(self) -> dict[str, object]:
        return {
            "source": self.voice.kind,
            "speaking": self.voice.speaking,
            "queue": self.voice.playlist.queue_length,
            "paused": self.voice.playlist.paused,
            "settings": self.settings.model_dump(),
            "portrait": self.portrait,
            "worker": self.stats.worker_state,
            "viewers": len(self.viewers),
            "sinks": self.sinks.summary(),
        }

    def outputs(self) -> list[dict[str, object]]:
        """Every sink, and every viewer by itself."""
        others = [sink for sink in self.sinks.status() if sink["id"] != "viewers"]
        return others + self.viewers.each()

    def configure(self, settings: protocol.Settings, background: str) -> None:
        """`background`: the settings' own, as `StreamOptions` takes it. Raises `SourceError` when
        noise suppression is wanted and not installed."""
        self.voice.configure(settings)
        self.settings, self.background = settings, background
        self._playout.lip_sync.set_offset(settings.lip_sync_offset_ms)
        self.worker.set_options(stream_options(settings, background))
        self.tell_state()

    def set_sink_offset(self, ident: str, offset_ms: int) -> None:
        """Of one sink or one viewer. Raises `SinkError`."""
        (self.viewers.find(ident) or self.sinks.get(ident)).set_offset(offset_ms)

    def stop(self) -> None:
        """Silence, and nothing drives the avatar any more."""
        self.voice.select("idle")
        self.interrupt()

    def interrupt(self, by: str = "command") -> None:
        """Barge-in: what was not heard yet is never heard, the queue is dropped; a microphone
        that was selected drives on."""
        self._cut_off(self.voice.cut(self._playout.heard_pts), by)

    def skip(self, *, back: bool) -> None:
        """Like an interruption of what plays now alone."""
        self._cut_off(self.voice.skip(self._playout.heard_pts, back=back), "skip")

    def _cut_off(self, played: Played | None, by: str) -> None:
        """Everybody is told what was really heard of what was on."""
        self.worker.silence_from(self._playout.interrupt())
        self.sinks.silence()
        self.viewers.silence()
        heard = asdict(played or Played(self.voice.kind, 0.0))
        media_ms = ms_of(self._playout.end_pts)
        self.tell(protocol.encode("interrupted", by=by, media_ms=media_ms, **heard))
        self.tell_state()

    # The loops.

    async def _pace(self) -> None:
        playout, tick = self._playout, 0
        playout.anchor_s = self._clock.now_s()
        while True:
            deadline_s = playout.anchor_s + tick * TICK_S
            await self._clock.sleep_until_s(deadline_s)
            late_s = self._clock.now_s() - deadline_s
            self.stats.tick(late_s)
            if late_s > REANCHOR_S:
                log.warning("session %s: the process stood still for %.1f s", self.id, late_s)
                playout.anchor_s += late_s
            self._tick(tick)
            tick += 1

    def _tick(self, tick: int) -> None:
        playout = self._playout
        if self.voice.talked_over:
            self.interrupt("voice")
        sound = playout.advance(self.voice.read(TICK_SAMPLES))
        for pts, picture in playout.feed.take():
            self.worker.push_audio(_to_s16(picture), pts, playout.generation)
        self.sinks.send_sound(_to_s16(sound), tick * TICK_SAMPLES)
        self.voice.heard(playout.heard_pts)
        for packet in playout.gate.take(tick * TICK_S):
            late_s = tick * TICK_S - playout.gate.due_s(packet.pts)
            self.stats.picture(packet, late_s)
            self.sinks.send_picture(packet)

    async def _collect(self) -> None:
        async for event in self.worker.events():
            match event:
                case MediaPacket():
                    self._playout.came(event, self._clock.now_s())
                    self.stats.encoded()
                case WorkerStats():
                    self.stats.worker(event)
                case WorkerRestarted():
                    self.stats.restarted()
                    self.notify(
                        "worker_restarted", "The picture was interrupted for a moment and is back."
                    )
                case WorkerError():
                    raise WorkerFailed(f"the avatar's worker failed: {event.message}")
        raise WorkerFailed("the avatar's worker ended")

    async def _report(self) -> None:
        last_state: dict[str, object] = {}
        due_s = self._clock.now_s()
        while True:
            due_s += 0.25
            await self._clock.sleep_until_s(due_s)
            state = self.state()
            if state != last_state:
                last_state = state
                self.tell(protocol.encode("state", **state))
            report = self.stats.report(len(self.viewers), self.voice.microphone_stats())
            if report is not None:
                self.tell(protocol.encode("stats", **report))

    async def _abandoned(self) -> None:
        """Wait until the studio is unheard of for the heartbeat limit and nothing else takes the
        avatar: no viewer, and no sink that was opened and has not failed."""
        while True:
            silent_s = self._clock.now_s() - self._heard_s
            watched = len(self.viewers) > self.viewers.has("studio") or self.sinks.taken
            if silent_s >= self.options.heartbeat_s and not watched:
                return
            wait_s = min(max(self.options.heartbeat_s - silent_s, 0.25), 3600.0)
            await self._clock.sleep_until_s(self._clock.now_s() + wait_s)


def stream_options(settings: protocol.Settings, background: str) -> StreamOptions:
    """What of the settings is the engine's affair."""
    return StreamOptions(
        dynamic_scale=settings.dynamic_scale,
        motion_scale=settings.motion_scale,
        smoothing=settings.smoothing,
        expression=settings.expression,
        background=background,
    )


class _Playout:
    """The moving parts between the voice and the sinks."""

    def __init__(self, latency_ms: float, gate: PictureGate) -> None:
        self.timeline = timeline_for(latency_ms)
        self.lip_sync = LipSync(latency_ms)
        self.gate = gate
        self.feed = PictureFeed()
        self.anchor_s = 0.0  # when media time 0 was
        self.generation = 0

    def came(self, packet: MediaPacket, now_s: float) -> None:
        """A picture came from the worker."""
        self.gate.add(packet)
        self.feed.came(self.anchor_s + self.gate.due_s(packet.pts) - now_s)

    def advance(self, samples: FloatArray) -> FloatArray:
        """20 ms further: the feed gets what the engine hears; returns what viewers hear now."""
        pts = self.timeline.end_pts
        self.timeline.append(samples)
        self.feed.add(pts, self.lip_sync.picture.read(self.timeline, len(samples)))
        return self.lip_sync.sound.read(self.timeline, len(samples))

    @property
    def end_pts(self) -> int:
        return self.timeline.end_pts

    @property
    def heard_pts(self) -> int:
        """The end of what has left for the viewers."""
        return self.timeline.end_pts - int(self.lip_sync.sound.delay)

    def interrupt(self) -> int:
        """Everything not yet heard becomes silence, and a new generation begins. Returns from
        which media time on the engine has heard what it should not."""
        self.generation += 1
        self.timeline.silence_from(self.heard_pts)
        pts = self.lip_sync.picture.when(self.heard_pts)
        self.feed.silence_from(pts)
        return pts


def _to_s16(samples: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return (np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16)


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a session's task and wait for it."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
