"""A real SFU (Janus) on this machine, a WHIP front for its video room, and a viewer behind it.

Janus itself speaks its own HTTP interface, not WHIP; `whip_front` translates, as Janus's own
WHIP server does.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI, Request, Response

from tests.peers.rtmp import free_port, wait_for_port
from tests.peers.whip import Receiver, serving

ROOM = 1234
VIDEOROOM = "janus.plugin.videoroom"
GENERAL = """
general: {{
  configs_folder = "{folder}"
  plugins_folder = "{library}/plugins"
  transports_folder = "{library}/transports"
  events_folder = "{library}/events"
  loggers_folder = "{library}/loggers"
  session_timeout = 0
  debug_level = 3
}}
media: {{ ipv6 = false }}
plugins: {{ disable = "{plugins}" }}
transports: {{ disable = "{transports}" }}
"""
HTTP = """
general: {{
  json = "compact", base_path = "/janus"
  http = true, port = {port}, ip = "127.0.0.1", https = false
}}
admin: {{ admin_http = false, admin_https = false }}
"""


def library() -> Path | None:
    return next(Path("/usr/lib").glob("*/janus"), None)


def missing() -> str:
    """Why there is no Janus here; "" when there is one."""
    if shutil.which("janus") is None or library() is None:
        return "Janus is not installed (Debian: janus)"
    return ""


def others(folder: Path, kept: str) -> str:
    return ",".join(path.name for path in folder.glob("*.so") if kept not in path.name)


@contextmanager
def janus_server() -> Iterator[str]:
    """The address of its HTTP interface."""
    home, port = library(), free_port()
    assert home is not None
    with tempfile.TemporaryDirectory() as folder:
        general = GENERAL.format(
            folder=folder,
            library=home,
            plugins=others(home / "plugins", "videoroom"),
            transports=others(home / "transports", "http"),
        )
        (Path(folder) / "janus.jcfg").write_text(general)
        (Path(folder) / "janus.transport.http.jcfg").write_text(HTTP.format(port=port))
        (Path(folder) / "janus.plugin.videoroom.jcfg").write_text("general: { }\n")
        process = subprocess.Popen(
            ["janus", "-F", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_for_port(port)
            yield f"http://127.0.0.1:{port}/janus"
        finally:
            process.kill()
            process.wait()


class JanusError(Exception):
    pass


@dataclass
class Handle:
    """One connection to the video room, with a Janus session of its own."""

    url: str
    http: httpx.AsyncClient

    @classmethod
    async def attach(cls, janus: str, http: httpx.AsyncClient) -> Handle:
        session = (await _post(http, janus, {"janus": "create"}))["data"]["id"]
        attach = {"janus": "attach", "plugin": VIDEOROOM}
        handle = (await _post(http, f"{janus}/{session}", attach))["data"]["id"]
        return cls(f"{janus}/{session}/{handle}", http)

    async def ask(self, body: dict[str, Any], jsep: dict[str, str] | None = None) -> dict[str, Any]:
        """A request and its answer, which for some comes as an event."""
        message: dict[str, Any] = {"janus": "message", "body": body}
        if jsep is not None:
            message["jsep"] = jsep
        reply = await _post(self.http, self.url, message)
        while reply["janus"] != "success" and "plugindata" not in reply:
            reply = (await self.http.get(self.url.rpartition("/")[0])).json()
        data = reply["plugindata"]["data"]
        if "error" in data:
            raise JanusError(data["error"])
        return reply

    async def leave(self) -> None:
        await _post(self.http, self.url.rpartition("/")[0], {"janus": "destroy"})


async def _post(http: httpx.AsyncClient, url: str, message: dict[str, Any]) -> dict[str, Any]:
    reply: dict[str, Any] = (await http.post(url, json={"transaction": "t", **message})).json()
    if reply["janus"] == "error":
        raise JanusError(reply["error"]["reason"])
    return reply


@dataclass
class Sfu:
    """`whip_url` takes a publication; `watch` pulls it back."""

    janus: str
    http: httpx.AsyncClient
    whip_url: str
    feeds: list[int] = field(default_factory=list)
    handles: list[Handle] = field(default_factory=list)

    async def publish(self, request: Request) -> Response:
        handle = await Handle.attach(self.janus, self.http)
        self.handles.append(handle)
        body = {"request": "joinandconfigure", "room": ROOM, "ptype": "publisher"}
        offer = (await request.body()).decode()
        reply = await handle.ask(body, {"type": "offer", "sdp": offer})
        self.feeds.append(reply["plugindata"]["data"]["id"])
        return Response(
            reply["jsep"]["sdp"],
            status_code=201,
            media_type="application/sdp",
            headers={"Location": f"/whip/{len(self.handles) - 1}"},
        )

    async def end(self, ident: int) -> Response:
        await self.handles[ident].leave()
        return Response()

    async def watch(self) -> Receiver:
        """A viewer of the last publication."""
        handle = await Handle.attach(self.janus, self.http)
        streams = [{"feed": self.feeds[-1]}]
        body = {"request": "join", "room": ROOM, "ptype": "subscriber", "streams": streams}
        offer = (await handle.ask(body))["jsep"]["sdp"]
        receiver = Receiver()
        answer = await receiver.answer(offer, addresses=())
        await handle.ask({"request": "start"}, {"type": "answer", "sdp": answer})
        return receiver


@asynccontextmanager
async def sfu(codec: str = "vp8,h264") -> AsyncIterator[Sfu]:
    listener = socket.create_server(("127.0.0.1", 0))
    with janus_server() as janus:
        async with httpx.AsyncClient(timeout=30) as http:
            room = await Handle.attach(janus, http)
            await room.ask(
                {"request": "create", "room": ROOM, "videocodec": codec, "audiocodec": "opus"}
            )
            front = Sfu(janus, http, f"http://127.0.0.1:{listener.getsockname()[1]}/whip")
            app = FastAPI()
            app.add_api_route("/whip", front.publish, methods=["POST"])
            app.add_api_route("/whip/{ident}", front.end, methods=["DELETE"])
            async with serving(app, listener):
                yield front


async def until_published(front: Sfu, timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not front.feeds:
            await asyncio.sleep(0.05)
