"""The commands that serve nothing, as a user runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sonic_stream.test_generate import speech  # noqa: F401


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from avatar_server.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def test_generate_writes_a_video(speech: Path, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "out.mp4"
    done = command(
        "generate", "--audio", str(speech), "--image", "theo", "--out", str(out),
        "--min-resolution", "256",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "31 pictures" in done.stderr
    assert out.stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "--audio", "/nowhere.wav", "--image", "mira", "--out", "o.mp4"], "nowhere"),
        (["weights", "verify", "/nowhere"], "cannot be read: convert the weights"),
        (["weights", "convert", "/nowhere", "/tmp/none"], "there is no folder /nowhere"),
        (["weights", "fetch", "/nowhere"], "not accepted: nothing was fetched"),
        (["--engine", "nothing"], "no engine 'nothing'"),
        (["--config", "/nowhere.toml"], "cannot read /nowhere.toml"),
        (["--size", "500"], "multiple of 16"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_what_cannot_be_is_one_line(arguments: list[str], message: str) -> None:
    done = command(*arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
