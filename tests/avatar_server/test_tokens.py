"""Token files: private, replaced, removed; a folder that cannot be written stops nothing."""

from __future__ import annotations

from pathlib import Path

from avatar_server.tokens import TokenFiles


def test_a_token_is_for_its_owner_alone(tmp_path: Path) -> None:
    tokens = TokenFiles(tmp_path / "sessions")
    assert tokens.read("a") == ""
    tokens.write("a", "first")
    tokens.write("a", "second")
    assert tokens.read("a") == "second"
    assert (tmp_path / "sessions").stat().st_mode & 0o077 == 0
    assert (tmp_path / "sessions" / "a.token").stat().st_mode & 0o077 == 0
    tokens.remove("a")
    tokens.remove("a")
    assert tokens.read("a") == ""


def test_ids_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    tokens = TokenFiles(tmp_path / "sessions")
    (tmp_path / "secret.token").write_text("secret")
    assert tokens.read("../secret") == ""
    tokens.write("../outside", "x")
    assert not (tmp_path / "outside.token").exists()


def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    tokens = TokenFiles(tmp_path / "file" / "sessions")
    tokens.write("a", "x")
    tokens.remove("a")
    assert tokens.read("a") == ""
