"""The command that makes the pictures of the documentation, as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from benchmarks.pictures.voice import speak

ROOT = Path(__file__).parents[1]


def test_words_are_told_where_they_are_said() -> None:
    pytest.importorskip("espeakng_loader", reason="the embedded voice is not installed")
    spoken = speak("One two, three.", lead_s=0.5, tail_s=0.25)
    assert [word.text.strip(",.") for word in spoken.words] == ["One", "two", "three"]
    starts_s = [word.start_s for word in spoken.words]
    assert starts_s[0] == pytest.approx(0.5, abs=0.1)
    assert (np.diff(starts_s) > 0.1).all()
    assert not spoken.samples[: spoken.rate_hz // 2].any()
    assert np.abs(spoken.samples).max() > 0.2


def test_the_pictures_are_made(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="the embedded voice is not installed")
    command = [sys.executable, "-m", "benchmarks.pictures", "--out", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    for name in ("visemes", "filmstrip"):
        with Image.open(tmp_path / f"{name}.webp") as picture:
            assert np.array(picture.convert("L")).std() > 30
    assert (tmp_path / "talking.mp4").stat().st_size < 1_500_000
    with av.open(str(tmp_path / "talking.mp4")) as film:
        codecs = {stream.codec_context.name for stream in film.streams}
        assert codecs == {"h264", "aac"}
        assert 9 < float(film.streams.video[0].duration * film.streams.video[0].time_base) < 13
