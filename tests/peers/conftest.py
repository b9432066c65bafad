"""Servers shared by the tests of a module: starting one costs about two seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers.real_server import RealServer, real_server


@pytest.fixture(scope="module")
def testcard_server() -> Iterator[RealServer]:
    """Roomy: a session outlives its test's socket until the heartbeat ends it."""
    with real_server(
        engine={"name": "testcard", "size_px": 256}, limits={"sessions": 30}
    ) as server:
        yield server


@pytest.fixture(scope="module")
def small_server() -> Iterator[RealServer]:
    with real_server(engine={"name": "testcard", "size_px": 128}, limits={"sessions": 2}) as server:
        yield server


@pytest.fixture(scope="module")
def lite_server() -> Iterator[RealServer]:
    with real_server(limits={"sessions": 10}) as server:
        yield server
