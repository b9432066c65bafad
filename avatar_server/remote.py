"""Commands to a running server over its HTTP interface: `say`, `play`, `sessions`, `send` …

They find the server by --url (or the configuration's port) and the session's token in the file
that the server keeps for its own user; both can be given.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from avatar_server import doctor
from avatar_server.config import load
from avatar_server.errors import AvatarError, NoSession
from avatar_server.sources.portaudio import PortAudio
from avatar_server.tokens import token_files

TIMEOUT_S = 60.0
RECORDING = "recording"  # the id of the one that the command line begins and ends


class Api:
    """One server's HTTP interface. Every call raises `AvatarError` with what is to be done."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def call(
        self, method: str, path: str, body: object = None, *, token: str = "", data: bytes = b""
    ) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data or None, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.read(), error.code) from error
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise AvatarError(
                f"no server answers at {self.url} ({reason}); start it with: avatar-server"
            ) from error
        return json.loads(text) if text else None


def _refusal(body: bytes, status: int) -> AvatarError:
    try:
        problem = json.loads(body)["error"]
        return AvatarError(problem["message"], problem["code"])
    except (ValueError, KeyError, TypeError):
        return AvatarError(f"the server answered {status}: {body[:200].decode(errors='replace')}")


class Target:
    """The session that a command line means: the named one, else the newest."""

    def __init__(self, options: argparse.Namespace) -> None:
        config = load(options.config)
        port = options.port or config.server.port
        self.api = Api(options.url or os.environ.get("AVATAR_URL") or f"http://127.0.0.1:{port}")
        self._tokens = token_files(config.paths.cache)
        self._session = options.session
        self._token = options.token or os.environ.get("AVATAR_TOKEN", "")

    def ident(self) -> str:
        """Raises `NoSession`."""
        if self._session:
            return str(self._session)
        listing = self.api.call("GET", "/api/sessions")
        if not listing:
            raise NoSession("there is no session: open the studio page, or configure [[sessions]]")
        return str(listing[-1]["id"])

    def token(self, ident: str) -> str:
        """Raises `AvatarError`."""
        token = self._token or self._tokens.read(ident)
        if not token:
            raise AvatarError(
                f"the token of session {ident} is not known here: give --token or AVATAR_TOKEN, or"
                " --config if the server's cache is elsewhere"
            )
        return token

    def command(self, kind: str, **fields: object) -> dict[str, Any]:
        ident = self.ident()
        path = f"/api/sessions/{quote(ident)}/commands/{kind}"
        state: dict[str, Any] = self.api.call("POST", path, fields, token=self.token(ident))
        return state


def add_remote_commands(commands: Any) -> None:
    which = argparse.ArgumentParser(add_help=False)
    which.add_argument("--url", help="the server (default http://127.0.0.1:8080, or AVATAR_URL)")
    which.add_argument("--session", help="the session's id (default: the newest)")
    which.add_argument("--token", help="its token (default: AVATAR_TOKEN, or the server's file)")

    def add(name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = commands.add_parser(
            name, help=help_text, parents=[which], description=help_text
        )
        parser.set_defaults(run=run)
        return parser

    say = add("say", run_say, "speak a text")
    say.add_argument("text", help="what to say; - reads it from standard input")
    say.add_argument("--voice", help="a voice's id")
    add("play", run_play, "play a sound file").add_argument("file", type=Path)
    add("interrupt", run_interrupt, "silence at once")
    record = add("record", run_record, "begin or end a recording in the server's folder")
    record.add_argument("action", choices=["start", "stop"])
    record.add_argument("--format", choices=["mp4", "webm"], default="mp4")
    record.add_argument("--name", help="the file's name without its ending")
    sessions = add("sessions", run_sessions, "the live sessions and their links")
    sessions.add_argument("--json", action="store_true")
    devices = commands.add_parser("devices", help="the microphones of this machine")
    devices.add_argument("--json", action="store_true")
    devices.set_defaults(run=run_devices)
    send = add("send", run_send, "any command of docs/protocol.md")
    send.add_argument("type", help="such as portrait, set or sink_offset")
    send.add_argument("fields", nargs="*", metavar="name=value", help="values are JSON or text")
    examine = commands.add_parser("doctor", help="what this machine has and lacks")
    examine.add_argument("--json", action="store_true")
    examine.set_defaults(run=run_doctor)


def run_say(options: argparse.Namespace) -> None:
    text = sys.stdin.read() if options.text == "-" else options.text
    voice = {"voice": options.voice} if options.voice else {}
    Target(options).command("say", text=text.strip(), **voice)


def run_play(options: argparse.Namespace) -> None:
    target = Target(options)
    data = options.file.read_bytes()
    path = f"/api/files?name={quote(options.file.name[:200])}"
    file = target.api.call("POST", path, data=data, token=target.token(target.ident()))
    target.command("play", file=file["id"])


def run_interrupt(options: argparse.Namespace) -> None:
    Target(options).command("interrupt")


def run_record(options: argparse.Namespace) -> None:
    target = Target(options)
    if options.action == "stop":
        target.command("sink_close", id=RECORDING)
        return
    name = {"name": options.name} if options.name else {}
    wanted = {"kind": "recording", "id": RECORDING, "format": options.format, **name}
    for sink in target.command("sink_open", **wanted)["sinks"]:
        if sink["id"] == RECORDING:
            sys.stdout.write(f"{sink.get('target', '')}\n")


def run_send(options: argparse.Namespace) -> None:
    state = Target(options).command(options.type, **dict(map(_field, options.fields)))
    sys.stdout.write(json.dumps(state, indent=2, ensure_ascii=False) + "\n")


def _field(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise AvatarError(f"{text!r} is not name=value")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def run_sessions(options: argparse.Namespace) -> None:
    target = Target(options)
    listing = target.api.call("GET", "/api/sessions")
    if options.json:
        sys.stdout.write(json.dumps(listing, indent=2) + "\n")
        return
    for session in listing:
        ident = quote(session["id"])
        try:
            control = f"/#session={ident}&token={quote(target.token(session['id']))}"
        except AvatarError:
            control = ""
        sys.stdout.write(
            f"{session['id']}  {session['source']}, {session['viewers']} viewers, "
            f"{session['uptime_s']:.0f} s\n"
            f"  OBS      {target.api.url}/obs?session={ident}\n"
            + (f"  control  {target.api.url}{control}\n" if control else "")
        )
    if not listing:
        sys.stdout.write("no sessions\n")


def run_devices(options: argparse.Namespace) -> None:
    """The microphones that `source kind=local` may name."""
    found = [asdict(device) for device in PortAudio().microphones()]
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        return
    for device in found:
        mark = ", default" if device["default"] else ""
        sys.stdout.write(
            f"{device['name']}  ({device['channels']} channels, {device['rate_hz']} Hz{mark})\n"
        )
    if not found:
        sys.stdout.write("this machine has no microphone\n")


def run_doctor(options: argparse.Namespace) -> None:
    config = load(options.config)
    if options.port:
        section = config.server.model_copy(update={"port": options.port})
        config = config.model_copy(update={"server": section})
    findings = doctor.examine(config)
    sys.stdout.write(doctor.report(findings, as_json=options.json) + "\n")
    if any(finding.status == "problem" for finding in findings):
        sys.exit(1)
