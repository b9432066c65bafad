"""What a card draws, on the processor and, where there is one, on the card itself."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.sonic_stream.engines.lite.gpu.devices import no_card

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]


@pytest.fixture(
    scope="session",
    params=[
        "torch-cpu",
        pytest.param(
            "cuda",
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(no_card(), reason="needs a CUDA device"),
            ],
        ),
    ],
)
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
