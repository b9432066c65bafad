"""The live engine at reduced size: the contract of all engines, in both modes and rates."""

from __future__ import annotations

import pytest

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import Engine, Stream, StreamOptions, load_engine
from sonic_stream.media import IdentityLatents
from tests.sonic_stream.contract import EngineContract

PLANS = {
    "chunk": {"mode": "chunk", "hop": 2, "context": 2, "overlap": 1, "steps": 2},
    "staggered": {"mode": "staggered", "hop": 1, "context": 2, "overlap": 0, "steps": 3},
    "undoubled": {"hop": 4, "context": 2, "overlap": 1, "steps": 1, "doubled": False},
}


@pytest.fixture(scope="module", params=PLANS)
def engine(request: pytest.FixtureRequest) -> Engine:
    plan = PLANS[str(request.param)]
    return load_engine("sonic", size_px=64, weights="random-reduced", device="cpu", **plan)


@pytest.fixture(scope="module")
def identity(engine: Engine) -> IdentityLatents:
    return engine.prepare(load_avatar("mira"))


@pytest.fixture
def stream(engine: Engine, identity: IdentityLatents) -> Stream:
    return engine.open(identity, StreamOptions(seed=5))


class TestContract(EngineContract):
    """The tests are the contract's."""
