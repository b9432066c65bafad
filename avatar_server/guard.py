"""Who may talk to the server: `Host` and `Origin` are checked before anything else.

A page of another site must not drive the avatar (cross-site request), nor reach it under a
name of its own (DNS rebinding). Clients that are no browsers send no `Origin`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from avatar_server.config import ServerSection

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
EVERYWHERE = frozenset({"0.0.0.0", "::"})


# The answer to a browser that asks before it sends another site's request.
PREFLIGHT = {
    "access-control-allow-methods": "GET, POST, PUT, DELETE",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-max-age": "600",
}


def is_preflight(method: str, headers: Headers) -> bool:
    return method == "OPTIONS" and "access-control-request-method" in headers


def host_name(host: str) -> str:
    """The name in a `Host` header, without port and brackets, in lower case."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


class Guard:
    """ASGI middleware; also adds the security headers to every answer."""

    def __init__(self, app: ASGIApp, settings: ServerSection, content_policy: str) -> None:
        self._app = app
        self._hosts = LOOPBACK | {settings.host.lower()} | set(settings.allowed_hosts)
        self._any_host = settings.host in EVERYWHERE and not settings.allowed_hosts
        self._origins = frozenset(settings.allowed_origins)
        self._headers = [
            (b"content-security-policy", content_policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cache-control", b"no-cache"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if (refusal := self.refusal(headers)) is None:
            send = self._with_headers(send, self._sharing(headers))
            if scope["type"] == "http" and is_preflight(scope["method"], headers):
                await Response(status_code=204, headers=PREFLIGHT)(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(code=1008, reason=refusal)(scope, receive, send)
        else:
            await PlainTextResponse(refusal + "\n", status_code=403)(scope, receive, send)

    def refusal(self, headers: Headers) -> str | None:
        """Why a request with these headers is refused; None when it is not."""
        host = headers.get("host", "")
        if not self._any_host and host_name(host) not in self._hosts:
            return "unknown Host; add it to server.allowed_hosts"
        origin = headers.get("origin")
        if origin is None or origin in self._origins:
            return None
        if urlsplit(origin).netloc.lower() != host.lower():
            return "this Origin is not allowed; add it to server.allowed_origins"
        return None

    def _sharing(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """Pages of an allowed origin may read the answers (CORS); there are no cookies."""
        origin = headers.get("origin")
        if origin not in self._origins:
            return []
        return [
            (b"access-control-allow-origin", origin.encode()),
            (b"access-control-expose-headers", b"location"),
            (b"cross-origin-resource-policy", b"cross-origin"),
            (b"vary", b"origin"),
        ]

    def _with_headers(self, send: Send, more: list[tuple[bytes, bytes]]) -> Send:
        async def wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self._headers, *more]
            await send(message)

        return wrapped
