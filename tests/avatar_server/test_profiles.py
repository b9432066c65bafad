"""Profiles: kept on disk, bounded, and a damaged file is put aside."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from avatar_server.errors import AvatarError
from avatar_server.profiles import MAX_PROFILES, NoProfile, Profiles


async def test_profiles_survive_and_are_asked_by_kind(tmp_path: Path) -> None:
    profiles = Profiles(tmp_path / "new" / "profiles.json")
    assert await profiles.all() == {}
    await asyncio.gather(*(profiles.put(f"p{i}", {"obs": i}) for i in range(10)))
    again = Profiles(tmp_path / "new" / "profiles.json")
    assert await again.offset_ms("p7", "obs") == 7
    assert await again.offset_ms("p7", "webrtc") == 0
    with pytest.raises(NoProfile, match="no profile 'x'"):
        await again.offset_ms("x", "obs")
    await again.remove("p7")
    assert len(await profiles.all()) == 9


async def test_there_are_not_ever_more(tmp_path: Path) -> None:
    profiles = Profiles(tmp_path / "profiles.json")
    for i in range(MAX_PROFILES):
        await profiles.put(f"p{i}", {})
    with pytest.raises(AvatarError, match="delete one"):
        await profiles.put("one more", {})
    await profiles.put("p0", {"obs": 5})


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"profiles": {"a": {"obs": 900}}}', b"\xff"]
)
async def test_a_damaged_file_is_put_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "profiles.json"
    path.write_bytes(content)
    profiles = Profiles(path)
    assert await profiles.all() == {}
    assert path.with_suffix(".damaged").read_bytes() == content
    await profiles.put("a", {"obs": 1})
    assert await profiles.all() == {"a": {"obs": 1}}
