"""The face finder's model: fetched once from a loopback stand-in, checked, kept."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sonic_stream.portrait.decode import PortraitError
from sonic_stream.portrait.landmarker import MODEL_VARIABLE, landmarker_model

MODEL = bytes(range(256)) * 40
DIGEST = hashlib.sha256(MODEL).hexdigest()


class Site(ThreadingHTTPServer):
    """Gives `body` with `status`; counts what is asked for."""

    body, status, asked = MODEL, 200, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/face_landmarker.task"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site = self.server
        assert isinstance(site, Site)
        site.asked += 1
        self.send_response(site.status)
        self.send_header("Content-Length", str(len(site.body)))
        self.end_headers()
        self.wfile.write(site.body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    with Site(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(5)


def test_it_is_fetched_once_and_again_only_when_damaged(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    path = landmarker_model(folder, url=site.url, sha256=DIGEST)
    assert path.read_bytes() == MODEL
    assert landmarker_model(folder, url=site.url, sha256=DIGEST) == path
    assert site.asked == 1
    path.write_bytes(MODEL[:-1])
    assert landmarker_model(folder, url=site.url, sha256=DIGEST).read_bytes() == MODEL
    assert site.asked == 2
    assert [file.name for file in folder.iterdir()] == ["face_landmarker.task"], "no leftovers"


def test_another_file_in_its_place_is_refused_and_not_kept(site: Site, tmp_path: Path) -> None:
    site.body = b"<html>please log in</html>"
    with pytest.raises(PortraitError) as refused:
        landmarker_model(tmp_path, url=site.url, sha256=DIGEST)
    assert refused.value.code == "bad_face_model"
    assert not list(tmp_path.iterdir())


def test_without_a_network_it_says_what_to_do(site: Site, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}/face_landmarker.task"
        with pytest.raises(PortraitError) as refused:
            landmarker_model(tmp_path, url=nobody, sha256=DIGEST)
    assert refused.value.code == "no_face_model"
    assert MODEL_VARIABLE in refused.value.advice
    site.status = 404
    with pytest.raises(PortraitError, match="404"):
        landmarker_model(tmp_path, url=site.url, sha256=DIGEST)


def test_the_users_own_file_comes_first(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.task"
    monkeypatch.setenv(MODEL_VARIABLE, str(own))
    with pytest.raises(PortraitError, match=r"own\.task") as refused:
        landmarker_model(tmp_path, url=site.url, sha256=DIGEST)
    assert refused.value.code == "no_face_model"
    own.write_bytes(b"mine")
    assert landmarker_model(tmp_path, url=site.url, sha256=DIGEST) == own
    assert site.asked == 0
