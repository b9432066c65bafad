"""HTTP: pages, portraits, files, health (documented in docs/protocol.md)."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles

import web_client
from avatar_server.errors import AvatarError
from avatar_server.portraits import BadPortrait
from avatar_server.requests import Parts, body_of, server_of
from avatar_server.session_api import HELD, bad_request, profile_router, sessions

PAGES = Path(web_client.__file__).parent
# Nothing from elsewhere, nothing inline; media comes as WebRTC streams and blobs.
CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; "
    "connect-src 'self' ws: wss:; frame-ancestors 'self'"
)
router = APIRouter()
Name = Annotated[str, Query(max_length=200)]


@router.get("/", include_in_schema=False)
async def studio() -> FileResponse:
    return FileResponse(PAGES / "index.html")


@router.get("/obs", include_in_schema=False)
async def obs() -> FileResponse:
    return FileResponse(PAGES / "obs.html")


@router.get("/calibrate", include_in_schema=False)
async def calibrate() -> FileResponse:
    return FileResponse(PAGES / "calibrate.html")


@router.get("/docs", include_in_schema=False)
async def docs() -> FileResponse:
    return FileResponse(PAGES / "docs.html")


@router.get("/embed.js", include_in_schema=False)
async def embed() -> FileResponse:
    return FileResponse(PAGES / "embed.js")


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


@router.post("/api/portraits", status_code=201, dependencies=HELD)
async def add_portrait(
    request: Request, server: Parts, name: Name = "My portrait"
) -> dict[str, Any]:
    picture = await body_of(request, server.config.limits.portrait_bytes)
    portrait = await server.portraits.add(picture, name)
    return portrait.listing() | {"report": portrait.report}


@router.post("/api/backgrounds", status_code=201, dependencies=HELD)
async def add_background(request: Request, server: Parts) -> dict[str, str]:
    picture = await body_of(request, server.config.limits.portrait_bytes)
    return {"id": await server.backgrounds.add(picture, server.portraits)}


@router.post("/api/files", status_code=201, dependencies=HELD)
async def add_file(request: Request, server: Parts, name: Name = "sound") -> dict[str, Any]:
    data = await body_of(request, server.config.limits.file_bytes)
    file = await server.files.add(data, name)
    return {"id": file.id, "name": file.name, "duration_s": file.duration_s}


@router.get("/api/microphones")
async def microphones(server: Parts) -> list[dict[str, object]]:
    """Those of the server's own machine, where its operator lets clients use them."""
    return [asdict(device) for device in await server.microphones.list()]


# These two read the disk, so they are no coroutines: the framework runs them on a thread.
@router.get("/api/recordings")
def list_recordings(server: Parts) -> list[dict[str, object]]:
    """The newest first."""
    return server.outlets.recordings()


@router.get("/api/recordings/{name}")
def recording(name: str, server: Parts) -> FileResponse:
    return FileResponse(server.outlets.recording(name), filename=name)


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, RequestValidationError):
        error = bad_request(error)
    assert isinstance(error, AvatarError)
    server_of(request).metrics.refused.labels(error.code).inc()
    details = {"code": error.code, "message": str(error)}
    content: dict[str, Any] = {"error": details}
    if isinstance(error, BadPortrait) and error.report is not None:
        content["report"] = error.report
    return JSONResponse(content, status_code=error.status)


def install(app: FastAPI) -> None:
    app.include_router(router)
    app.include_router(sessions)
    app.include_router(profile_router)
    app.add_exception_handler(AvatarError, answer_error)
    app.add_exception_handler(RequestValidationError, answer_error)
    app.mount("/static", StaticFiles(directory=PAGES))
