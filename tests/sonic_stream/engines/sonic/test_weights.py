"""Loading, converting and fetching checkpoint files, on small ones in the official layout."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sonic_stream.engines.sonic import weights
from sonic_stream.engines.sonic.accelerate import Placement
from sonic_stream.engines.sonic.config import REDUCED
from sonic_stream.engines.sonic.fetch import FILES, fetch
from sonic_stream.engines.sonic.model import SonicModel
from sonic_stream.engines.sonic.parts import build, fill_by_rule
from sonic_stream.engines.sonic.weights import PARTS, WeightsError, convert, load_part, verify


def write_part(folder: Path, part: str, state: dict[str, torch.Tensor]) -> None:
    file = PARTS[part]
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    named = {file.prefix + key: value.contiguous() for key, value in state.items()}
    if part == "whisper":
        named["model.decoder.layer_norm.weight"] = torch.ones(4)  # the hub's file holds more
    if path.suffix == ".safetensors":
        save_file(named, path)
    else:
        torch.save(named, path)


@pytest.fixture(scope="module")
def states() -> dict[str, dict[str, torch.Tensor]]:
    return {part: fill_by_rule(build(part, REDUCED), part).state_dict() for part in PARTS}


@pytest.fixture
def official(tmp_path: Path, states: dict[str, dict[str, torch.Tensor]]) -> Path:
    folder = tmp_path / "checkpoints"
    for part, state in states.items():
        write_part(folder, part, state)
    return folder


def empty(part: str) -> torch.nn.Module:
    with torch.device("meta"):
        return build(part, REDUCED)


@pytest.mark.parametrize("part", PARTS)
def test_official_files_fill_every_part(
    official: Path, states: dict[str, dict[str, torch.Tensor]], part: str
) -> None:
    module = load_part(empty(part), official, part)
    assert not any(t.is_meta for t in [*module.parameters(), *module.buffers()])
    for key, value in module.state_dict().items():
        assert torch.equal(value, states[part][key])


def test_converted_files_are_the_same_and_verified(
    official: Path, states: dict[str, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    out, said = tmp_path / "converted", []
    for name in weights.OPTIONAL:
        (official / name).write_bytes(name.encode())
    convert(official, out, said.append)
    assert len(said) == len(PARTS)
    verify(out)
    assert weights.missing(out) == []
    assert [(out / name).read_bytes() for name in weights.OPTIONAL] == [
        name.encode() for name in weights.OPTIONAL
    ]
    for part in PARTS:
        module = load_part(empty(part), out, part)
        for key, value in module.state_dict().items():
            assert torch.equal(value, states[part][key])
    (out / "rife.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(WeightsError, match=r"rife\.safetensors is missing or damaged"):
        verify(out)


def test_a_missing_file_is_named(official: Path) -> None:
    (official / "Sonic/unet.pth").unlink()
    assert weights.missing(official) == [f"{official}/Sonic/unet.pth is missing"]
    with pytest.raises(ValueError, match=r"unet\.pth is missing.*weights fetch"):
        SonicModel.load(str(official), Placement("cpu"))
    with pytest.raises(WeightsError, match=r"unet\.pth"):
        convert(official, official.parent / "out", print)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("proj2.bias"), r"audio2bucket\.pth lacks proj2\.bias"),
        (lambda s: s.update(extra=torch.ones(1)), r"has the unknown extra"),
        (lambda s: s.update({"proj3.bias": torch.ones(3)}), r"proj3\.bias has shape \(3,\), not"),
        (lambda s: s.update(note="text"), r"no plain state dict"),
    ],
    ids=["missing", "surplus", "shape", "not a tensor"],
)
def test_a_wrong_key_is_named(
    official: Path, states: dict[str, dict[str, torch.Tensor]], change: object, message: str
) -> None:
    state = dict(states["audio2bucket"])
    change(state)  # type: ignore[operator]
    torch.save(state, official / PARTS["audio2bucket"].path)
    with pytest.raises(WeightsError, match=message):
        load_part(empty("audio2bucket"), official, "audio2bucket")


@pytest.mark.parametrize("part", ["unet", "vae"])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_a_truncated_file_is_one_clear_error(official: Path, part: str, kept: float) -> None:
    path = official / PARTS[part].path
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(WeightsError, match="is damaged or no checkpoint"):
        load_part(empty(part), official, part)


def test_a_pickle_that_would_run_code_is_refused(official: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    torch.save({"proj1.weight": Evil()}, official / PARTS["audio2token"].path)
    with pytest.raises(WeightsError, match="damaged or no checkpoint"):
        load_part(empty("audio2token"), official, "audio2token")
    assert not (tmp_path / "ran").exists()


UNET = "/LeonJoe13/Sonic/resolve/main/Sonic/unet.pth"


class Hub(ThreadingHTTPServer):
    """As much of a model hub as fetching needs: `/<repo>/resolve/<revision>/<file>`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {
            f"/{repository}/resolve/main/{file}": hashlib.sha256(file.encode()).digest() * 4096
            for repository, (_, files) in FILES.items()
            for file in files
        }
        # The hub's client keeps what it has in pieces of 10 MB.
        self.files[UNET] *= 200
        self.cut: set[str] = set()  # paths whose next answer breaks off half-way
        self.ranges: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format: str, *args: object) -> None:
        return None

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        content = self.server.files.get(self.path)
        if content is None:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        wanted = self.headers.get("Range")
        if wanted:
            self.server.ranges.append(wanted)
            start = int(wanted.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if wanted else 200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(content) - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if body and self.path in self.server.cut:
            self.server.cut.discard(self.path)
            self.wfile.write(content[start : len(content) // 2])
            self.close_connection = True
        elif body:
            self.wfile.write(content[start:])


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def endpoint(hub: Hub) -> str:
    return f"http://127.0.0.1:{hub.server_address[1]}"


def test_nothing_is_fetched_before_the_licences_are_accepted(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not accepted"):
        fetch(tmp_path, accepted=False, endpoint=endpoint(hub))
    assert list(tmp_path.iterdir()) == []


def test_all_files_arrive_in_the_official_layout(hub: Hub, tmp_path: Path) -> None:
    fetch(tmp_path, accepted=True, endpoint=endpoint(hub))
    assert weights.missing(tmp_path) == []
    content = (tmp_path / "Sonic/unet.pth").read_bytes()
    assert content == hub.files[UNET]
    assert (tmp_path / weights.DETECTOR).is_file()


def test_a_broken_download_goes_on_where_it_broke(hub: Hub, tmp_path: Path) -> None:
    hub.cut.add(UNET)
    fetch(tmp_path, accepted=True, endpoint=endpoint(hub))
    content = (tmp_path / "Sonic/unet.pth").read_bytes()
    assert content == hub.files[UNET]
    assert [int(wanted[len("bytes=") :].split("-")[0]) > 0 for wanted in hub.ranges] == [True]


def test_a_file_that_the_hub_lacks_is_named(hub: Hub, tmp_path: Path) -> None:
    del hub.files["/openai/whisper-tiny/resolve/main/model.safetensors"]
    with pytest.raises(WeightsError, match=r"model\.safetensors of openai/whisper-tiny"):
        fetch(tmp_path, accepted=True, endpoint=endpoint(hub))
