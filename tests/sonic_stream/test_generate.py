"""Recordings and portraits into videos."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from sonic_stream.generate import GenerateOptions, Video, generate, load_model
from sonic_stream.recording import read_sound

RATE_HZ = 24_000


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """A second and a bit of tone bursts, stereo, at a rate of its own."""
    time = np.arange(int(1.21 * RATE_HZ)) / RATE_HZ
    tone = 0.4 * np.sin(2 * np.pi * 220 * time) * (time % 0.4 > 0.2)
    path = tmp_path / "speech.wav"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=RATE_HZ, layout="stereo")
        pcm = np.repeat((tone * 32767).astype(np.int16), 2)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="stereo")
        frame.rate = RATE_HZ
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def decoded(path: Path) -> tuple[list[np.ndarray], float]:
    """Pictures, and the sound's seconds."""
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        spoken = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    return pictures, spoken


def test_sound_is_read_at_the_rate_asked_for(speech: Path) -> None:
    samples = read_sound(speech, 16_000)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(1.21 * 16_000, abs=20)
    assert np.abs(samples).max() == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize("engine", ["lite", "testcard"])
def test_a_video_has_a_picture_for_all_of_the_sound(
    speech: Path, tmp_path: Path, engine: str
) -> None:
    told: list[tuple[int, int]] = []
    options = GenerateOptions(min_resolution=256, seed=3)
    model = load_model(engine)
    video = generate(speech, "mira", options, model, lambda *done: told.append(done))
    assert video.export(tmp_path / "out.mp4") == video.frame_count == 31
    assert told == [(done, 31) for done in range(1, 32)]
    pictures, spoken_s = decoded(tmp_path / "out.mp4")
    assert len(pictures) == 31
    assert pictures[0].shape == (256, 256, 3)
    assert spoken_s == pytest.approx(1.21, abs=0.05)
    changes = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(pictures)]
    assert max(changes) > 0.05


def test_quality_mode_makes_as_many_pictures(speech: Path, tmp_path: Path) -> None:
    pytest.importorskip("diffusers", reason="the extra `sonic` is not installed")
    calls: list[tuple[int, int]] = []
    options = GenerateOptions(min_resolution=256, inference_steps=1)
    model = load_model("sonic", weights="random-reduced", device="cpu")
    video = generate(speech, "mira", options, model, lambda *done: calls.append(done))
    assert video.export(tmp_path / "out.mp4") == 31
    assert calls == [(1, 1)]
    assert len(decoded(tmp_path / "out.mp4")[0]) == 31


def test_a_duration_that_is_not_the_recordings_is_an_error(speech: Path) -> None:
    model = load_model("testcard")
    with pytest.raises(ValueError, match=r"duration is 3 s but speech\.wav lasts 1\.21 s"):
        generate(speech, "mira", GenerateOptions(duration=3), model)
    assert generate(speech, "mira", GenerateOptions(duration=1.2), model).frame_count == 31


@pytest.mark.parametrize(
    ("field", "value"),
    [("inference_steps", 0), ("min_resolution", 128), ("dynamic_scale", 3.0), ("motion_scale", -1)],
)
def test_options_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        GenerateOptions(**{field: value})


def test_files_without_sound_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound at all")
    with pytest.raises(ValueError, match="cannot be read as sound"):
        read_sound(tmp_path / "text.wav", 16_000)
    with pytest.raises(ValueError, match="cannot be read as sound"):
        read_sound(tmp_path / "nothing.wav", 16_000)


def test_a_video_that_breaks_off_leaves_no_file(speech: Path, tmp_path: Path) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield np.zeros((64, 64, 3), np.uint8)
        raise ValueError("the engine broke")

    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(ValueError, match="broke"):
        Video(broken(), Fraction(25), speech, 2).export(folder / "out.mp4")
    assert list(folder.iterdir()) == []


def test_sonic_says_what_it_lacks() -> None:
    pytest.importorskip("diffusers", reason="the extra `sonic` is not installed")
    with pytest.raises(ValueError, match=r"no weights.*weights fetch"):
        load_model("sonic", weights="")
