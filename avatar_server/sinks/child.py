"""A sink whose work is done by a child process: files, slow networks, devices.

The child is fed through a pipe and may block, crash or hang as it likes. Here nothing waits
for it: what it does not take in time is dropped, pictures up to the next key frame, and sound
only when there is twice as much (the child puts silence in its place, so that time goes on).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from avatar_server.children import end
from avatar_server.sinks.base import Feed, Sound
from avatar_server.sinks.keyframes import Keyframes
from avatar_server.sinks.life import Hopeless, Life, Lost
from avatar_server.worker.wire import Decoder, WireError, WireMessage, encode
from sonic_stream.media import MediaPacket

PICTURE_HZ = 90_000  # pictures are stamped in it, whatever time base they came with
CLOSE_S = 3.0


@dataclass(frozen=True, slots=True)
class Program:
    """Which child serves a sink. `settings` are told to it as its first message.

    `codec`: the video codec it wants; "" for sound only. `keyframes`: some every two seconds,
    for players that join and files that are sought through. `final`: a loss is the end, there
    are no second tries. `queue_bytes`: so much may wait before pictures are dropped. `stall_s`:
    a child that says nothing for so long is stuck.
    """

    module: str
    settings: Mapping[str, object] = field(default_factory=dict)
    codec: str = ""
    keyframes: bool = False
    final: bool = False
    queue_bytes: int = 1_000_000
    stall_s: float = 10.0


class ChildSink:
    """`target` is where it goes, as people may see it."""

    wants_opus = False

    def __init__(self, kind: str, target: str, program: Program, feed: Feed) -> None:
        self.kind = kind
        self.target = target
        self._program = program
        self._feed = feed
        self._child: asyncio.subprocess.Process | None = None
        self._keyframes = Keyframes(periodic=program.keyframes)
        self._figures: dict[str, object] = {}
        self._dropped = 0
        self._closing = False
        self._life = Life(f"{kind} {target}".strip(), feed, self._attempt)

    @property
    def codecs(self) -> frozenset[str]:
        wanted = self._program.codec and self._child is not None
        return frozenset({self._program.codec} if wanted else ())

    def send_sound(self, sound: Sound) -> None:
        if self.waiting_bytes < 2 * self._program.queue_bytes:
            self._say("sound", {"pts": sound.pts}, sound.samples.tobytes())

    def send_picture(self, packet: MediaPacket) -> None:
        if packet.codec not in self.codecs:
            return
        if self.waiting_bytes > self._program.queue_bytes:
            self._keyframes.lost()
            self._dropped += 1
            return
        use, ask = self._keyframes.take(packet)
        if ask:
            self._feed.request_keyframe(packet.codec)
        if use:
            pts = int(packet.pts * packet.time_base * PICTURE_HZ)
            self._say("picture", {"pts": pts, "keyframe": packet.keyframe}, packet.data)
        else:
            self._dropped += 1

    def status(self) -> Mapping[str, object]:
        life = {"state": self._life.state, "reason": self._life.reason, "target": self.target}
        return {**life, "dropped": self._dropped, **self._figures}

    async def close(self) -> None:
        self._closing = True
        if self._child is not None:
            self._say("close", {})
        await self._life.end(CLOSE_S)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    @property
    def queue_bytes(self) -> int:
        return self._program.queue_bytes

    @property
    def waiting_bytes(self) -> int:
        """What the child has not taken yet."""
        pipe = self._child.stdin if self._child is not None else None
        return pipe.transport.get_write_buffer_size() if pipe is not None else 0

    def _say(self, kind: str, fields: dict[str, object], body: bytes = b"") -> None:
        pipe = self._child.stdin if self._child is not None else None
        if pipe is not None and not pipe.transport.is_closing():
            pipe.write(encode(WireMessage(kind, fields, body)))

    async def _attempt(self) -> None:
        """One child's life."""
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", self._program.module,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._child = child
        try:
            if self._closing:
                return
            self._say("open", dict(self._program.settings))
            self._keyframes.lost()
            self._feed.refresh()
            await self._listen(child)
        finally:
            self._child = None
            self._feed.refresh()
            await end(child)

    async def _listen(self, child: asyncio.subprocess.Process) -> None:
        """Until it ended as it was asked to. Raises `Lost`."""
        assert child.stdout is not None
        decoder = Decoder()
        while True:
            try:
                async with asyncio.timeout(self._program.stall_s):
                    data = await child.stdout.read(1 << 16)
                messages = list(decoder.feed(data))
            except TimeoutError:
                raise Lost(f"nothing could be written for {self._program.stall_s:g} s") from None
            except (ConnectionError, WireError) as error:
                raise Lost(f"its process failed ({error})") from error
            if not data and not self._closing:
                raise self._lost("its process ended unexpectedly")
            if not data or any(message.kind == "done" for message in messages):
                return
            for message in messages:
                self._hear(message)

    def _hear(self, message: WireMessage) -> None:
        match message.kind:
            case "live":
                self._life.went_live()
                self._figures |= message.fields
            case "progress":
                self._figures |= message.fields
            case "failed":
                reason = str(message.fields["message"])
                raise Hopeless(reason) if message.fields.get("final") else self._lost(reason)

    def _lost(self, reason: str) -> Lost:
        return Hopeless(reason) if self._program.final else Lost(reason)
