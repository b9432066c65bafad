"""HTTP: pages, portraits, files, sessions, WHEP, health (documented in docs/protocol.md)."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles

import web_client
from avatar_server.errors import AvatarError
from avatar_server.portraits import BadPortrait
from avatar_server.protocol import MAX_MESSAGE_BYTES
from avatar_server.server import Server

PAGES = Path(web_client.__file__).parent
# Nothing from elsewhere, nothing inline; media comes as WebRTC streams and blobs.
CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; "
    "connect-src 'self' ws: wss:; frame-ancestors 'self'"
)
BODY_TIMEOUT_S = 120.0
READ_ON_FACTOR = 4
Name = Annotated[str, Query(max_length=200)]


class TooSlow(AvatarError):
    code = "too_slow"
    status = 408


class TooLarge(AvatarError):
    code = "too_large"
    status = 413


def server_of(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


Parts = Annotated[Server, Depends(server_of)]
router = APIRouter()


async def body_of(request: Request, limit: int) -> bytes:
    """The request's body. Raises `TooLarge` past `limit` bytes, and `TooSlow`.

    A body that is somewhat too large is read to its end all the same (and forgotten): a client
    that is cut off while it sends never sees the answer that says why.
    """
    data, received = bytearray(), 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.stream():
                received += len(piece)
                if received <= limit:
                    data += piece
                elif received > READ_ON_FACTOR * limit:
                    break
    except TimeoutError as error:
        raise TooSlow(f"the body did not arrive within {BODY_TIMEOUT_S:g} s") from error
    if received > limit:
        raise TooLarge(f"at most {limit // 1000} kB are accepted here")
    return bytes(data)


@router.get("/", include_in_schema=False)
async def studio() -> FileResponse:
    return FileResponse(PAGES / "index.html")


@router.get("/obs", include_in_schema=False)
async def obs() -> FileResponse:
    return FileResponse(PAGES / "obs.html")


@router.get("/healthz")
async def healthz() -> PlainTextResponse:
    return PlainTextResponse("ok\n")


@router.get("/readyz")
async def readyz(server: Parts) -> PlainTextResponse:
    if server.ready:
        return PlainTextResponse("ready\n")
    return PlainTextResponse("not ready: starting, full or draining\n", status_code=503)


@router.get("/metrics")
async def metrics(server: Parts) -> PlainTextResponse:
    return PlainTextResponse(server.metrics.exposition())


@router.get("/api/portraits")
async def list_portraits(server: Parts) -> list[dict[str, Any]]:
    return server.portraits.listing()


@router.get("/api/portraits/{ident}/thumbnail")
async def thumbnail(ident: str, server: Parts) -> FileResponse:
    return FileResponse(server.portraits.get(ident).thumbnail, media_type="image/png")


@router.post("/api/portraits", status_code=201)
async def add_portrait(
    request: Request, server: Parts, name: Name = "My portrait"
) -> dict[str, Any]:
    picture = await body_of(request, server.config.limits.portrait_bytes)
    portrait = await server.portraits.add(picture, name)
    return portrait.listing() | {"report": portrait.report}


@router.post("/api/backgrounds", status_code=201)
async def add_background(request: Request, server: Parts) -> dict[str, str]:
    picture = await body_of(request, server.config.limits.portrait_bytes)
    return {"id": await server.backgrounds.add(picture, server.portraits)}


@router.post("/api/files", status_code=201)
async def add_file(request: Request, server: Parts, name: Name = "sound") -> dict[str, Any]:
    data = await body_of(request, server.config.limits.file_bytes)
    file = await server.files.add(data, name)
    return {"id": file.id, "name": file.name, "duration_s": file.duration_s}


@router.get("/api/sessions")
async def list_sessions(server: Parts) -> list[dict[str, object]]:
    return server.sessions.listing()


@router.post("/api/sessions/{ident}/whep")
async def whep(ident: str, request: Request, server: Parts, alpha: bool = False) -> Response:
    """WebRTC-HTTP egress (draft-ietf-wish-whep): an SDP offer in, the answer out. With `alpha`
    the picture's matte lies below its colours."""
    session = server.sessions.get(ident)
    offer = (await body_of(request, MAX_MESSAGE_BYTES)).decode("utf-8", errors="replace")
    viewer = "whep-" + secrets.token_urlsafe(12)
    answer = await session.connect(viewer, offer, want_mic=False, alpha=alpha)
    return Response(
        answer,
        status_code=201,
        media_type="application/sdp",
        headers={"Location": f"/api/sessions/{ident}/whep/{viewer}"},
    )


@router.delete("/api/sessions/{ident}/whep/{viewer}", status_code=204)
async def leave_whep(ident: str, viewer: str, server: Parts) -> None:
    if viewer.startswith("whep-"):
        await server.sessions.get(ident).viewers.leave(viewer)


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AvatarError)
    server_of(request).metrics.refused.labels(error.code).inc()
    details = {"code": error.code, "message": str(error)}
    content: dict[str, Any] = {"error": details}
    if isinstance(error, BadPortrait) and error.report is not None:
        content["report"] = error.report
    return JSONResponse(content, status_code=error.status)


def install(app: FastAPI) -> None:
    app.include_router(router)
    app.add_exception_handler(AvatarError, answer_error)
    app.mount("/static", StaticFiles(directory=PAGES))
