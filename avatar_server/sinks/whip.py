"""WHIP: sound and picture to any media server that speaks WebRTC-HTTP ingestion (RFC 9725).

The packets are those that the viewers get. A lost connection is published anew, with waits.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

import httpx

from avatar_server.errors import AvatarError
from avatar_server.rtc.peer import RtcSettings
from avatar_server.rtc.publisher import BadAnswer, Publisher
from avatar_server.rtc.relays import Relay, relays
from avatar_server.sinks.base import Feed, Sound
from avatar_server.sinks.life import Hopeless, Life, Lost
from sonic_stream.media import MediaPacket

HTTP_TIMEOUT_S = 10.0
CLOSE_S = 3.0
MAX_REDIRECTS = 3
MAX_ANSWER_BYTES = 256 * 1024
SDP = {"Content-Type": "application/sdp", "Accept": "application/sdp"}
# Worth another try: time-outs, too many requests, and whatever the server's own trouble is.
PASSING = {408, 409, 425, 429}
REDIRECTS = (301, 302, 307, 308)  # the offer is sent again, whatever browsers make of the first two


@dataclass(frozen=True, slots=True)
class WhipSettings:
    """`target`: the address as people may see it. `check` and `check_relay` raise for an
    address to which a redirect, or sound and picture through a relay, must not lead. `codecs`: the
    first that the other side takes is sent."""

    url: str
    target: str
    token: str
    codecs: Sequence[str]
    rtc: RtcSettings
    check: Callable[[str], object]
    check_relay: Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Made:
    """What the server answered, the address of what it made, and its `Link` headers."""

    answer: str
    resource: str
    links: Sequence[str]


class Whip:
    """Never blocks: packets go to the connection's bounded tracks."""

    kind = "whip"

    def __init__(self, settings: WhipSettings, feed: Feed) -> None:
        self._settings = settings
        self._feed = feed
        self._peer: Publisher | None = None
        self._connections = 0
        self._client = httpx.AsyncClient(timeout=HTTP_TIMEOUT_S, follow_redirects=False)
        self._closing = False
        self._life = Life(f"whip {settings.target}", feed, self._attempt)

    @property
    def codecs(self) -> frozenset[str]:
        return frozenset({self._peer.video_codec} if self._peer else ())

    @property
    def wants_opus(self) -> bool:
        return self._peer is not None

    def send_sound(self, sound: Sound) -> None:
        if self._peer is not None:
            for packet in sound.opus:
                self._peer.send_audio(packet)

    def send_picture(self, packet: MediaPacket) -> None:
        if self._peer is not None and packet.codec == self._peer.video_codec:
            self._peer.send_video(packet)

    def status(self) -> Mapping[str, object]:
        return {
            "state": self._life.state,
            "reason": self._life.reason,
            "target": self._settings.target,
            "codec": self._peer.video_codec if self._peer else "",
            "connections": self._connections,
        }

    async def close(self) -> None:
        self._closing = True
        if self._peer is not None:
            await self._peer.close()
        await self._life.end(CLOSE_S)
        await self._client.aclose()

    async def _attempt(self) -> None:
        """One publication, from offer to the connection's end."""
        peer = await Publisher.offer(
            settings=self._settings.rtc,
            codecs=self._settings.codecs,
            on_keyframe=self._feed.request_keyframe,
        )
        resource = ""
        try:
            made = await self._post(peer.offer_sdp)
            resource = made.resource
            relays, refused = self._relays(made.links)
            if not self._closing:
                await peer.accept(made.answer, relays)
            if self._closing:
                return
            self._peer = peer
            self._feed.refresh()
            await self._while_connected(peer, refused)
        except BadAnswer as error:
            raise Hopeless(str(error)) from error
        except httpx.HTTPError as error:
            raise Lost(f"the server cannot be reached ({_reason(error)})") from error
        finally:
            self._peer = None
            self._feed.refresh()
            await peer.close()
            await self._delete(resource)

    async def _while_connected(self, peer: Publisher, refused: str) -> None:
        if not await peer.wait_connected_or_closed() and not self._closing:
            raise Lost(f"no media connection came about; are UDP ports blocked?{refused}")
        self._connections += 1
        self._life.went_live()
        await peer.wait_closed()
        if not self._closing:
            raise Lost("the connection was lost")

    def _relays(self, links: Sequence[str]) -> tuple[list[Relay], str]:
        """The server's relays, unless the operator has chosen some; and what is to be told of
        those that this server may not use."""
        if self._settings.rtc.ice_servers:
            return [], ""
        allowed, refused = [], ""
        for relay in relays(links):
            try:
                host = f"[{relay.host}]" if ":" in relay.host else relay.host
                self._settings.check_relay(f"turn://{host}:{relay.port}")
                allowed.append(relay)
            except AvatarError as error:
                refused = f" Its relay was not used: {error}"
        return allowed, refused

    async def _post(self, offer: str) -> Made:
        """Raises `Lost` and `httpx.HTTPError`."""
        url = self._settings.url
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._client.post(url, content=offer, headers=SDP | self._authorization)
            if answer.status_code not in REDIRECTS:
                break
            url = self._allowed(urljoin(url, answer.headers.get("Location", "")))
        status = answer.status_code
        if status in (401, 403):
            raise Hopeless(f"the server refused the token (HTTP {status})")
        if not answer.is_success:
            reason = f"the server answered HTTP {status} {answer.text[:200]}".strip()
            if status < 500 and status not in PASSING:
                raise Hopeless(reason)
            raise Lost(reason, wait_s=wait_of(answer.headers))
        if len(answer.content) > MAX_ANSWER_BYTES:
            raise Hopeless("the server's answer is no session description")
        location = answer.headers.get("Location", "")
        resource = self._allowed(urljoin(url, location)) if location else ""
        return Made(answer.text, resource, answer.headers.get_list("Link"))

    async def _delete(self, resource: str) -> None:
        if resource:
            with contextlib.suppress(httpx.HTTPError):
                await self._client.delete(resource, headers=self._authorization, timeout=CLOSE_S)

    def _allowed(self, url: str) -> str:
        try:
            self._settings.check(url)
        except AvatarError as error:
            raise Hopeless(f"the server leads elsewhere: {error}") from error
        return url

    @property
    def _authorization(self) -> dict[str, str]:
        token = self._settings.token
        return {"Authorization": f"Bearer {token}"} if token else {}


def wait_of(headers: Mapping[str, str]) -> float:
    """How many seconds the header `Retry-After` asks for; a date is held against the answer's own.
    0 where there is none."""
    asked = headers.get("Retry-After", "")
    if re.fullmatch(r"\d{1,6}", asked, re.ASCII):
        return float(asked)
    try:
        wait = parsedate_to_datetime(asked) - parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError):  # also of two dates, when one has no time zone
        return 0.0
    return max(wait.total_seconds(), 0.0)


def _reason(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__
