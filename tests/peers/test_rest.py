"""The HTTP interface as an integrator uses it, on the real server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.peers.clients import accept, control, studio, viewer
from tests.peers.real_server import RealServer, real_server
from tests.peers.rest import call

TESTCARD = {"name": "testcard", "size_px": 128}


def create(server: RealServer, **wanted: object) -> tuple[str, str]:
    status, made = call(server, "POST", "/api/sessions", dict(wanted))
    assert status == 201, made
    return made["id"], made["token"]


def test_a_program_makes_commands_and_ends_a_session(testcard_server: RealServer) -> None:
    status, made = call(
        testcard_server, "POST", "/api/sessions",
        {"portrait": "theo", "settings": {"lip_sync_offset_ms": -40}},
    )  # fmt: skip
    assert status == 201
    assert made["portrait"] == "theo"
    assert made["settings"]["lip_sync_offset_ms"] == -40
    assert made["links"]["obs"] == f"/obs?session={made['id']}"
    path, token = f"/api/sessions/{made['id']}", made["token"]
    status, state = call(
        testcard_server, "POST", path + "/commands",
        {"type": "set", "lip_sync_offset_ms": 333}, token,
    )  # fmt: skip
    assert (status, state["settings"]["lip_sync_offset_ms"]) == (200, 333)
    status, state = call(testcard_server, "POST", path + "/commands/portrait", {"id": "nia"}, token)
    assert (status, state["portrait"]) == (200, "nia")
    assert call(testcard_server, "POST", path + "/commands/stop", token=token)[0] == 200
    assert call(testcard_server, "GET", path)[1]["portrait"] == "nia"
    assert call(testcard_server, "DELETE", path, token=token)[0] == 204
    assert call(testcard_server, "GET", path)[0] == 404


def test_only_who_has_the_token_commands(testcard_server: RealServer) -> None:
    ident, _ = create(testcard_server)
    _, other = create(testcard_server)
    path = f"/api/sessions/{ident}"
    for token, status, code in (("", 401, "no_token"), (other, 403, "bad_token")):
        for method, place in (("POST", "/commands/stop"), ("DELETE", "")):
            answer = call(testcard_server, method, path + place, token=token)
            assert (answer[0], answer[1]["error"]["code"]) == (status, code)
    status, answer = call(testcard_server, "POST", "/api/sessions/none/commands/stop", token=other)
    assert (status, answer["error"]["code"]) == (404, "no_session")


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/commands", b"nonsense", "JSON"),
        ("/commands", {"type": "dance"}, "dance"),
        ("/commands", {"type": "say"}, "text"),
        ("/commands", {"type": "set", "lip_sync_offset_ms": 501}, "500"),
        ("/commands", {"type": "sink_offset", "id": "none", "offset_ms": 1}, "no sink"),
        ("/commands/dance", {}, "dance"),
        ("/commands/say", {"text": ""}, "at least 1"),
        ("/commands/portrait", {"id": "none"}, "no portrait"),
    ],
)
def test_bad_commands_say_what_is_wrong(
    testcard_server: RealServer, path: str, body: object, reason: str
) -> None:
    ident, token = create(testcard_server)
    status, answer = call(
        testcard_server, "POST", f"/api/sessions/{ident}{path}", body, token,
        **({"Content-Type": "application/json"} if isinstance(body, bytes) else {}),
    )  # fmt: skip
    assert 400 <= status < 500
    assert reason in answer["error"]["message"]
    assert call(testcard_server, "DELETE", f"/api/sessions/{ident}", token=token)[0] == 204


def test_a_session_can_be_made_with_nothing_and_not_with_anything(
    testcard_server: RealServer,
) -> None:
    status, made = call(testcard_server, "POST", "/api/sessions")
    assert status == 201
    path = f"/api/sessions/{made['id']}"
    assert call(testcard_server, "DELETE", path, token=made["token"])[0] == 204
    for wanted in ({"keep_alive_s": 1}, {"colour": 1}, {"portrait": "none"}):
        status, answer = call(testcard_server, "POST", "/api/sessions", wanted)
        assert status == 422
        assert answer["error"]["message"]


async def test_an_unwatched_session_ends_when_its_program_is_gone() -> None:
    with real_server(engine=TESTCARD) as server:
        ident, token = await asyncio.to_thread(lambda: create(server, keep_alive_s=5))
        for _ in range(4):  # requests with the token keep it
            await asyncio.sleep(1.7)
            path = f"/api/sessions/{ident}"
            assert (await asyncio.to_thread(call, server, "GET", path, None, token))[0] == 200
        async with asyncio.timeout(8):
            while await asyncio.to_thread(server.sessions):
                await asyncio.sleep(0.2)


async def test_a_configured_session_is_always_there(tmp_path: Path) -> None:
    config = {
        "engine": TESTCARD,
        "paths": {"cache": str(tmp_path)},
        "sessions": [{"id": "main", "portrait": "nia", "lip_sync_offset_ms": 120}],
    }
    with real_server(**config) as server:
        token = (tmp_path / "sessions" / "main.token").read_text().strip()
        assert (tmp_path / "sessions" / "main.token").stat().st_mode & 0o077 == 0
        await asyncio.sleep(6)  # longer than any heartbeat
        state = await asyncio.to_thread(call, server, "GET", "/api/sessions/main")
        assert state[1]["portrait"] == "nia"
        assert state[1]["settings"]["lip_sync_offset_ms"] == 120
        async with control(server.url) as client:  # a studio may come and go
            await client.send("hello", session="main", resume=token)
            assert (await client.expect("welcome"))["session"] == "main"
        assert (await asyncio.to_thread(call, server, "DELETE", "/api/sessions/main", None, token))[
            0
        ] == 204
        async with asyncio.timeout(10):  # … and it begins anew
            while not await asyncio.to_thread(server.sessions):
                await asyncio.sleep(0.2)
    with real_server(**config) as server:
        assert (tmp_path / "sessions" / "main.token").read_text().strip() == token
        path = "/api/sessions/main/commands/stop"
        assert (await asyncio.to_thread(call, server, "POST", path, None, token))[0] == 200


async def test_token_files_go_with_their_sessions(tmp_path: Path) -> None:
    with real_server(engine=TESTCARD, paths={"cache": str(tmp_path)}) as server:
        async with studio(server.url) as (_, welcome):
            file = tmp_path / "sessions" / f"{welcome['session']}.token"
            assert file.read_text().strip() == welcome["resume"]
        async with asyncio.timeout(8):
            while file.exists():
                await asyncio.sleep(0.2)


async def test_each_viewer_has_an_offset_of_its_own(testcard_server: RealServer) -> None:
    async with studio(testcard_server.url) as (client, welcome), viewer() as (peer, offer):
        path = f"/api/sessions/{welcome['session']}"
        await asyncio.to_thread(
            call, testcard_server, "PUT", "/api/profiles/My%20OBS",
            {"obs": 120, "webrtc": -10}, welcome["resume"],
        )  # fmt: skip
        where = f"{path}/whep?profile=My%20OBS&kind=obs"
        status, answer = await asyncio.to_thread(
            call, testcard_server, "POST", where, offer.encode()
        )
        assert status == 201
        await accept(peer, answer.decode())
        facts = (await asyncio.to_thread(call, testcard_server, "GET", path))[1]
        (sink,) = facts["sinks"]
        assert (sink["kind"], sink["offset_ms"]) == ("webrtc", 120)
        await client.send("sink_offset", id=sink["id"], offset_ms=-70)
        await client.send("ping", t=1)
        await client.expect("pong")
        facts = (await asyncio.to_thread(call, testcard_server, "GET", path))[1]
        assert facts["sinks"][0]["offset_ms"] == -70
        video = peer.getTransceivers()[1].receiver.track
        assert (await asyncio.wait_for(video.recv(), 10)).width == 256
        where = f"{path}/whep?profile=unknown"
        status, answer = await asyncio.to_thread(call, testcard_server, "POST", where, b"v=0")
        assert (status, answer["error"]["code"]) == (404, "no_profile")


def test_profiles_are_kept_and_checked(tmp_path: Path) -> None:
    with real_server(engine=TESTCARD, paths={"cache": str(tmp_path)}) as server:
        _, token = create(server)
        assert call(server, "GET", "/api/profiles") == (200, {})
        assert call(server, "PUT", "/api/profiles/Headphones", {"webrtc": 35}, token)[0] == 204
        for name, body in (
            ("x" * 61, {}), ("a", {"obs": 501}), ("a", {"OBS!": 1}), ("a", {"obs": "late"}),
        ):  # fmt: skip
            status, answer = call(server, "PUT", f"/api/profiles/{name}", body, token)
            assert (status, answer["error"]["code"]) == (422, "bad_message")
    with real_server(engine=TESTCARD, paths={"cache": str(tmp_path)}) as server:
        _, token = create(server)
        assert call(server, "GET", "/api/profiles") == (200, {"Headphones": {"webrtc": 35}})
        assert call(server, "DELETE", "/api/profiles/Headphones", token=token)[0] == 204
        assert call(server, "DELETE", "/api/profiles/Headphones", token=token)[0] == 404


# Who watches changes nothing, and who makes a session is told its token.
OPEN_TO_ALL = {
    "POST /api/sessions", "POST /api/sessions/{ident}/whep",
    "DELETE /api/sessions/{ident}/whep/{viewer}",
}  # fmt: skip


def test_whatever_changes_something_needs_a_token(testcard_server: RealServer) -> None:
    """Any of a live session's for what all share: read from the server's own description."""
    ident, token = create(testcard_server)
    described = json.loads(testcard_server.get("/openapi.json"))["paths"]
    changing = {
        f"{method.upper()} {path}"
        for path, methods in described.items()
        for method in methods
        if method != "get"
    }
    assert changing > OPEN_TO_ALL and "PUT /api/profiles/{name}" in changing
    for route in sorted(changing - OPEN_TO_ALL):
        method, path = route.split(" ")
        path = path.format(ident=ident, name="x", kind="stop")
        for given, status, code in (("", 401, "no_token"), ("wrong", 403, "bad_token")):
            got, answer = call(testcard_server, method, path, b"", given)
            assert (got, answer["error"]["code"]) == (status, code), route
    assert (
        call(testcard_server, "POST", "/api/files", b"", token)[0] == 422
    )  # it may, but with sound
    assert call(testcard_server, "DELETE", f"/api/sessions/{ident}", token=token)[0] == 204
    assert call(testcard_server, "POST", "/api/files", b"", token)[0] == 403  # it is no more


async def test_a_calibration_session_beeps_and_counts(testcard_server: RealServer) -> None:
    async with control(testcard_server.url) as client:
        await client.send("hello", calibrate=True)
        assert (await client.expect("welcome"))["engine"] == "testcard"
        await client.expect("state", source="beeps", speaking=True)


def test_the_interface_describes_itself(testcard_server: RealServer) -> None:
    status, openapi = call(testcard_server, "GET", "/openapi.json")
    assert status == 200
    commands = openapi["paths"]["/api/sessions/{ident}/commands"]["post"]
    body = commands["requestBody"]["content"]["application/json"]["schema"]
    assert {"say", "stop", "set", "sink_offset"} <= body["discriminator"]["mapping"].keys()
    assert commands["security"]


def test_pages_of_an_allowed_origin_may_read_the_answers() -> None:
    shop = "https://shop.example"
    with real_server(engine=TESTCARD, server={"allowed_origins": [shop]}) as server:
        for method, path in (("GET", "/embed.js"), ("OPTIONS", "/api/sessions/x/whep")):
            request = urllib.request.Request(
                server.url + path,
                headers={"Origin": shop, "Access-Control-Request-Method": "POST"},
                method=method,
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.headers["Access-Control-Allow-Origin"] == shop
        stranger = {"Origin": "https://evil.example"}
        assert call(server, "GET", "/embed.js", **stranger)[0] == 403
        assert call(server, "OPTIONS", "/embed.js", **stranger)[0] == 403


def test_the_example_makes_an_avatar_speak(testcard_server: RealServer) -> None:
    pytest.importorskip("espeakng_loader", reason="the embedded voice is not installed")
    example = Path(__file__).parents[2] / "examples" / "rest_client.py"
    done = subprocess.run(
        [sys.executable, str(example), "Good evening.", testcard_server.url],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "/obs?session=" in done.stdout
