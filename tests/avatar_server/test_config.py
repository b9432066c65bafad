"""Strict configuration: the files we ship load, mistakes are named."""

from pathlib import Path

import pytest

from avatar_server.cli import arguments, configuration
from avatar_server.config import Config, load
from avatar_server.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda p: p.name)
def test_shipped_configurations_load(path: Path) -> None:
    assert isinstance(load(path), Config)


def test_the_default_file_spells_out_the_defaults() -> None:
    assert load(CONFIGS / "default.toml") == Config()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[server]\nprot = 1", "server.prot"),
        ("[server]\nport = '8080'", "server.port"),
        ("[limits]\nsessions = 0", "limits.sessions"),
        ("[media]\nmargin_ms = 33", "multiple of 20"),
        ("[server", "no valid TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=reason):
        load(path)


def test_a_missing_file_is_an_error() -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load(Path("/nowhere.toml"))


def test_the_command_line_wins_over_the_file() -> None:
    options = arguments().parse_args(
        ["--config", str(CONFIGS / "testcard.toml"), "--port", "0", "--size", "256"]
    )
    config = configuration(options)
    assert (config.server.port, config.engine.name, config.engine.size_px) == (0, "testcard", 256)
    with pytest.raises(ConfigError, match="port"):
        configuration(arguments().parse_args(["--port", "70000"]))
