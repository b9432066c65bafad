"""Every engine passes the one contract."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import Engine, Stream, StreamOptions, load_engine
from sonic_stream.media import IdentityLatents
from tests.sonic_stream.contract import EngineContract

ENGINES = [("testcard", 128, {}), ("lite", 256, {"device": "cpu"})]
if find_spec("torch"):
    ENGINES.append(("lite", 128, {"device": "torch-cpu"}))


@pytest.fixture(scope="module", params=ENGINES, ids=lambda p: "-".join((p[0], *p[2].values())))
def engine(request: pytest.FixtureRequest) -> Engine:
    name, size_px, settings = request.param
    return load_engine(name, size_px=size_px, **settings)


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
