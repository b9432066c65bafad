"""HTTP for programs: sessions, their commands, watching by WHEP, offset profiles.

A session belongs to who has its token (`Authorization: Bearer …`); each request that carries it is
a sign of life. What all sessions share is changed with the token of any of them (`HELD`). To watch,
a session's id is enough.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from avatar_server import profiles, protocol
from avatar_server.control import carry_out
from avatar_server.errors import AvatarError
from avatar_server.requests import Parts, body_of
from avatar_server.rtc.peer import ViewerOffer
from avatar_server.session import Session
from avatar_server.sessions import SessionPlan

KEEP_ALIVE_S = 60.0
bearer = HTTPBearer(auto_error=False, description="The session's token, as its creation told it.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
Ident = Annotated[str, Path(max_length=100)]
sessions = APIRouter(prefix="/api/sessions", tags=["sessions"])
profile_router = APIRouter(prefix="/api/profiles", tags=["profiles"])
SDP_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/sdp": {"schema": {"type": "string"}}},
    }
}


class NewSession(BaseModel):
    """All of it is optional."""

    model_config = ConfigDict(extra="forbid")

    portrait: protocol.Identifier | None = None
    settings: protocol.Settings = protocol.Settings()
    keep_alive_s: Annotated[
        float, Field(ge=5, le=86_400, description="unheard of and unwatched for so long, it ends")
    ] = KEEP_ALIVE_S


class Watching(BaseModel):
    """How a viewer wants to watch."""

    alpha: bool = False
    offset_ms: Annotated[int, Field(ge=-500, le=500)] | None = None
    profile: Annotated[str, Field(max_length=60)] | None = None
    kind: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")] = "webrtc"


def owned(ident: Ident, server: Parts, given: Credentials) -> Session:
    return server.sessions.resume(ident, given.credentials if given else None)


Owned = Annotated[Session, Depends(owned)]


def holder(server: Parts, given: Credentials) -> Session:
    """Who owns any live session may change what all of them share."""
    return server.sessions.holder(given.credentials if given else None)


HELD = [Depends(holder)]


def facts(session: Session) -> dict[str, Any]:
    """What a session is, and how it is now."""
    spec = session.worker.spec
    return {
        "id": session.id,
        "engine": spec.engine,
        "fps": float(spec.fps),
        "size_px": spec.size_px,
        "latency_ms": session.latency_ms,
        **session.state(),
        "sinks": session.outputs(),
    }


@sessions.get("")
async def list_sessions(server: Parts) -> list[dict[str, object]]:
    return server.sessions.listing()


@sessions.post("", status_code=201)
async def create_session(server: Parts, wanted: NewSession | None = None) -> dict[str, Any]:
    """A session of your own. It ends when you delete it, or when nobody watches and no request
    with its token came for `keep_alive_s`."""
    wanted = wanted or NewSession()
    plan = SessionPlan(
        portrait=wanted.portrait or "", settings=wanted.settings, alive_s=wanted.keep_alive_s
    )
    session = await server.sessions.create(plan)
    path = f"/api/sessions/{quote(session.id)}"
    links = {
        "studio": f"/#session={quote(session.id)}&token={quote(session.options.token)}",
        "obs": f"/obs?session={quote(session.id)}",
        "commands": f"{path}/commands",
        "whep": f"{path}/whep",
    }
    return {**facts(session), "token": session.options.token, "links": links}


@sessions.get("/{ident}")
async def get_session(ident: Ident, server: Parts, given: Credentials) -> dict[str, Any]:
    """With the token it is a sign of life too."""
    if given is not None:
        return facts(server.sessions.resume(ident, given.credentials))
    return facts(server.sessions.get(ident))


@sessions.delete("/{ident}", status_code=204)
async def end_session(session: Owned, server: Parts) -> None:
    """Ends it, whoever watches. A session from the configuration begins anew."""
    session.finish()
    await server.sessions.ended(session.id)


@sessions.get("/{ident}/captions.vtt", response_class=PlainTextResponse)
async def captions(ident: Ident, server: Parts) -> PlainTextResponse:
    """What was said in this session, as WebVTT on its media clock."""
    text = server.sessions.get(ident).captions.webvtt()
    return PlainTextResponse(text, media_type="text/vtt")


@sessions.post("/{ident}/commands")
async def command(
    session: Owned,
    server: Parts,
    command: Annotated[protocol.Command, Body(discriminator="type")],
) -> dict[str, Any]:
    """The very messages of the WebSocket. The answer is the session as it is then."""
    await carry_out(server, session, command)
    return facts(session)


@sessions.post("/{ident}/commands/{kind}")
async def command_by_name(
    session: Owned,
    server: Parts,
    kind: Annotated[str, Path(max_length=40)],
    fields: Annotated[dict[str, Any] | None, Body()] = None,
) -> dict[str, Any]:
    """The same with the type in the path: `POST …/commands/stop` needs no body at all."""
    await carry_out(server, session, protocol.command(kind, fields or {}))
    return facts(session)


@sessions.post("/{ident}/whep", openapi_extra=SDP_BODY, status_code=201)
async def whep(
    ident: Ident,
    request: Request,
    server: Parts,
    watching: Annotated[Watching, Query()],
) -> Response:
    """WebRTC-HTTP egress (draft-ietf-wish-whep): an SDP offer in, the answer out. With `alpha`
    the picture is twice as high: colours above, the person's matte below. `offset_ms`,
    or a `profile` and the viewer's `kind`, give this viewer a lip-sync offset of its own."""
    session = server.sessions.get(ident)
    sdp = (await body_of(request, protocol.MAX_MESSAGE_BYTES)).decode("utf-8", errors="replace")
    offset_ms = watching.offset_ms
    if offset_ms is None and watching.profile:
        offset_ms = await server.profiles.offset_ms(watching.profile, watching.kind)
    viewer = "whep-" + secrets.token_urlsafe(12)
    offer = ViewerOffer(sdp, alpha=watching.alpha)
    answer = await session.connect(viewer, offer, offset_ms=offset_ms)
    return Response(
        answer,
        status_code=201,
        media_type="application/sdp",
        headers={"Location": f"/api/sessions/{ident}/whep/{viewer}"},
    )


@sessions.delete("/{ident}/whep/{viewer}", status_code=204)
async def leave_whep(ident: Ident, viewer: str, server: Parts) -> None:
    if viewer.startswith("whep-"):
        await server.sessions.get(ident).viewers.leave(viewer)


@profile_router.get("")
async def list_profiles(server: Parts) -> dict[str, dict[str, int]]:
    """{name: {kind of sink: offset in ms}}"""
    return await server.profiles.all()


@profile_router.put("/{name}", status_code=204, dependencies=HELD)
async def put_profile(
    name: Annotated[profiles.Name, Path()], offsets: profiles.Offsets, server: Parts
) -> None:
    await server.profiles.put(name, offsets)


@profile_router.delete("/{name}", status_code=204, dependencies=HELD)
async def remove_profile(name: str, server: Parts) -> None:
    await server.profiles.remove(name)


def bad_request(problem: Any) -> AvatarError:
    """The first thing wrong with a request, in words."""
    first = problem.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "body"
    error = AvatarError(f"{where}: {first['msg']}", "bad_message")
    error.status = 422
    return error
