"""The doctor finds what is there, and what is broken on purpose."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from aioice import stun

from avatar_server import doctor
from avatar_server.config import Config
from avatar_server.doctor import Finding
from tests.peers import sound_card


def findings(check: str, **sections: object) -> list[Finding]:
    config = Config.model_validate(sections)
    return list(getattr(doctor, check)(config))


@pytest.fixture
def stun_server() -> Iterator[int]:
    """Answers one binding request."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)

        def answer() -> None:
            data, address = server.recvfrom(2048)
            asked = stun.parse_message(data)
            told = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, asked.transaction_id)
            told.attributes["XOR-MAPPED-ADDRESS"] = address
            server.sendto(bytes(told), address)

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_a_stun_server_that_answers_is_found(stun_server: int) -> None:
    (found,) = findings("_ice_servers", media={"ice_servers": [f"stun:127.0.0.1:{stun_server}"]})
    assert found.status == "ok"
    assert "127.0.0.1" in found.found


@pytest.mark.parametrize("text", ["stun:127.0.0.1:1", "turn:ann:secret@127.0.0.1:1", "http://x"])
def test_one_that_does_not_is_a_problem_without_its_password(text: str) -> None:
    (found,) = findings("_ice_servers", media={"ice_servers": [text]})
    assert found.status == "problem"
    assert found.advice
    assert "secret" not in found.found


def test_udp_is_tried_on_each_address() -> None:
    media = {"host_addresses": ["127.0.0.1", "203.0.113.5"]}
    here, elsewhere = findings("_udp", media=media)
    assert (here.status, elsewhere.status) == ("ok", "problem")


def test_a_taken_port_is_noticed() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        (found,) = findings("_port", server={"port": port})
        assert found.status == "note"


def test_a_cache_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    (found,) = findings("_cache", paths={"cache": str(file / "cache")})
    assert found.status == "problem"


def test_codecs_are_really_opened() -> None:
    found = {f.found.split(":")[0]: f.status for f in findings("_codecs")}
    assert found["libvpx"] == found["libopus"] == found["libx264"] == "ok"


def test_missing_sonic_weights_are_a_problem_with_the_command_that_gets_them(
    tmp_path: Path,
) -> None:
    engine = {"name": "sonic", "settings": {"weights": str(tmp_path)}}
    _, sonic = findings("_weights", engine=engine)
    assert sonic.status == "problem"
    assert "weights fetch" in sonic.advice


def test_the_command_reports_as_json_and_its_status_tells_of_problems(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text(f'[media]\nhost_addresses = ["203.0.113.5"]\n[paths]\ncache = "{tmp_path}"')
    done = subprocess.run(
        [sys.executable, "-m", "avatar_server", "--config", str(config), "doctor", "--json"],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    problems = [f for f in json.loads(done.stdout) if f["status"] == "problem"]
    assert [p["check"] for p in problems] == ["UDP"]


def test_a_voice_that_is_set_wrong_is_a_problem() -> None:
    (found,) = findings("_voice", speech={"engine": "openai"})
    assert (found.status, found.check) == ("problem", "voice")
    assert "base_url" in found.found


def test_a_missing_libsrt_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avatar_server.sinks.srt_socket.NAMES", ("no-such-srt",))
    (found,) = findings("_srt")
    assert found.status == "note"
    assert "apt install srt-tools" in found.advice


def test_sound_devices_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if why := sound_card.missing():
        pytest.skip(why)
    with sound_card.sound_card(tmp_path, monkeypatch):
        names = subprocess.run(  # PortAudio reads its list once in a process
            [sys.executable, "-m", "avatar_server", "doctor", "--json"],
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        found = {each["check"]: each["found"] for each in json.loads(names.stdout)}
    assert sound_card.MICROPHONE in found["microphone"]
    assert sound_card.LOUDSPEAKER in found["loudspeaker"]
