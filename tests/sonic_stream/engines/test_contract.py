"""Every engine passes the one contract."""

from __future__ import annotations

import pytest

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import Engine, Stream, StreamOptions, load_engine
from sonic_stream.media import IdentityLatents
from tests.sonic_stream.contract import EngineContract


@pytest.fixture(scope="module", params=[("testcard", 128), ("lite", 256)], ids=lambda p: p[0])
def engine(request: pytest.FixtureRequest) -> Engine:
    name, size_px = request.param
    return load_engine(name, size_px=size_px)


@pytest.fixture(scope="module")
def identity(engine: Engine) -> IdentityLatents:
    return engine.prepare(load_avatar("mira"))


@pytest.fixture
def stream(engine: Engine, identity: IdentityLatents) -> Stream:
    return engine.open(identity, StreamOptions(seed=5))


class TestContract(EngineContract):
    """The tests are the contract's."""


def test_unknown_engines_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="lite, sonic, testcard"):
        load_engine("nothing")
    with pytest.raises(ValueError, match="no engine"):
        load_engine("sonic_stream.media:Nothing")
