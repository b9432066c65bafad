"""What a worker makes beside its pictures: in order, once, and never in the way."""

from __future__ import annotations

import select
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from avatar_server.worker.loader import Loader, Ready
from avatar_server.worker.wire import WireMessage
from sonic_stream.avatars import load_avatar
from sonic_stream.engine import StreamOptions, load_engine
from sonic_stream.engines.lite.background import Scene
from sonic_stream.engines.lite.engine import LiteEngine

SIZE = 128


@pytest.fixture(scope="module")
def engine() -> LiteEngine:
    engine = load_engine("lite", size_px=SIZE)
    assert isinstance(engine, LiteEngine)
    return engine


@pytest.fixture(scope="module")
def identity(engine: LiteEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("identity") / "mira.safetensors"
    engine.prepare(load_avatar("mira")).save(path)
    return path


@pytest.fixture
def loader(engine: LiteEngine) -> Iterator[Loader]:
    loader = Loader(engine)
    yield loader
    loader.close()


def opening(stream: int, identity: Path, *codecs: str) -> WireMessage:
    fields = {
        "stream": stream,
        "identity": str(identity),
        "options": asdict(StreamOptions()),
        "bitrate_bps": 300_000,
        "codecs": codecs,
    }
    return WireMessage("open", fields)


def ready(loader: Loader, *messages: WireMessage) -> list[Ready]:
    """All that comes of these messages."""
    for message in messages:
        loader.put(message)
    found: list[Ready] = []
    while len(found) < len(messages):
        assert select.select([loader.wake], [], [], 20)[0]
        found += loader.take()
    assert [r.message for r in found] == list(messages)
    return found


def test_messages_come_back_in_order_with_what_they_need(loader: Loader, identity: Path) -> None:
    assert loader.take() == []  # nothing to wait for
    look = WireMessage(
        "options", {"stream": 1, "options": asdict(StreamOptions(background="blur"))}
    )
    found = ready(
        loader,
        opening(1, identity, "vp8"),
        look,
        WireMessage("codecs", {"stream": 1, "codecs": ["vp8", "vp8+alpha"]}),
        WireMessage("keyframe", {"stream": 1, "codec": "vp8"}),
    )
    assert [sorted(r.encoders) for r in found] == [["vp8"], [], ["vp8+alpha"], []]
    wanted = [r.wanted for r in found if r.wanted is not None]
    assert [w.drawn.background for w in wanted] == ["keep", "blur", "blur", "blur"]
    assert [w.drawn.alpha for w in wanted] == [False, False, True, True]
    assert all(isinstance(r.kept, Scene) for r in found)


def test_streams_of_one_portrait_share_it(
    engine: LiteEngine, loader: Loader, identity: Path
) -> None:
    first, second = ready(loader, opening(1, identity), opening(2, identity))
    assert first.wanted is not None
    assert second.wanted is not None
    assert first.wanted.identity is second.wanted.identity
    assert first.kept is second.kept
    assert engine.scene(first.wanted.identity, first.wanted.drawn) is first.kept


def test_what_cannot_be_is_said_and_changes_nothing(loader: Loader, identity: Path) -> None:
    bad_look = asdict(StreamOptions(background="image:/nothing.png"))
    lost, _, wall, again = ready(
        loader,
        opening(1, identity.with_name("lost")),
        opening(2, identity),
        WireMessage("options", {"stream": 2, "options": bad_look}),
        WireMessage("codecs", {"stream": 2, "codecs": ["h264"]}),
    )
    assert "lost" in lost.error
    assert "nothing.png" in wall.error
    assert again.wanted is not None
    assert again.wanted.options.background == "keep"
    assert not again.error
    (unknown,) = ready(loader, WireMessage("codecs", {"stream": 1, "codecs": ["vp8"]}))
    assert unknown.wanted is None
