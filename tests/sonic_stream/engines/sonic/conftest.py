"""The diffusion engine is an extra: without its packages its tests are left out."""

from importlib.util import find_spec

import pytest

collect_ignore_glob = []
if not all(find_spec(name) for name in ("torch", "diffusers", "transformers")):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
