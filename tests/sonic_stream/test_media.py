"""Identities on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sonic_stream.media import IdentityLatents


def test_an_identity_is_read_from_its_file_when_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "identity.safetensors"
    tensors = {"a.b": np.arange(6, dtype=np.float32).reshape(2, 3), "c": np.ones(2, np.uint8)}
    IdentityLatents("lite", 128, "abc", tensors, {"matte": "yes"}).save(path)
    loaded = IdentityLatents.load(path)
    assert (loaded.engine, loaded.size_px, loaded.fingerprint) == ("lite", 128, "abc")
    assert loaded.meta == {"matte": "yes"}
    assert set(loaded.tensors) == set(tensors)
    assert len(loaded.tensors) == 2
    for name, values in loaded.tensors.items():
        assert np.array_equal(values, tensors[name])
        assert np.array_equal(loaded.tensors[name], values)
        assert loaded.tensors[name] is not loaded.tensors[name]  # nothing is kept
    with pytest.raises(KeyError):
        loaded.tensors["d"]


def test_a_damaged_identity_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "identity.safetensors"
    IdentityLatents("lite", 128, "abc", {"a": np.ones(100, np.float32)}).save(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match="not a prepared identity"):
        IdentityLatents.load(path)
