from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sonic_stream.engines.sonic.check import Result, Skipped, check_file, check_folder, main
from sonic_stream.engines.sonic.config import VAE_SCALE
from sonic_stream.engines.sonic.encoders import decode
from sonic_stream.engines.sonic.guidance import (
    Guidance,
    Identity,
    MotionScale,
    added_ids,
    branch_conditions,
    combine,
)
from sonic_stream.engines.sonic.parts import Parts
from sonic_stream.engines.sonic.sampler import euler_step, karras_sigmas, scale_input, timestep
from sonic_stream.engines.sonic.unet import face_masks

GOLDEN = Path("tests/data/sonic")
# A folder with more of the reference's tensors (60-frame loop, 31 s of sound, CLIP): they are
# too large for the repository.
MORE = os.environ.get("SONIC_GOLDEN", "")
SLOW = {"unet_full.npz", "vae_full.npz"}


def results_of(path: Path, *, slow: bool = False) -> list[Result]:
    results = check_file(path, Parts.by_rule(), slow=slow)
    assert not isinstance(results, Skipped), results
    return results


def test_every_fast_comparison_is_within_its_limit() -> None:
    outcomes = list(check_folder(GOLDEN, slow=False))
    skipped = {o.file: o.why for o in outcomes if isinstance(o, Skipped)}
    assert set(skipped) == SLOW
    assert all("--slow" in why for why in skipped.values())
    assert [o for o in outcomes if isinstance(o, Result) and not o.passed] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_full_size_parts_are_within_their_limits() -> None:
    results = [result for name in SLOW for result in results_of(GOLDEN / name, slow=True)]
    assert len(results) >= 3
    assert [result for result in results if not result.passed] == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not MORE, reason="SONIC_GOLDEN names no folder with the large tensors")
def test_the_large_tensors_are_within_their_limits() -> None:
    outcomes = list(check_folder(Path(MORE), slow=True))
    assert [o for o in outcomes if not (o.passed if isinstance(o, Result) else not o.failed)] == []


def changed(tmp_path: Path, name: str, field: str, amount: float) -> Path:
    """A copy of a golden file with one field moved."""
    with np.load(GOLDEN / name) as archive:
        arrays = {key: archive[key] for key in archive.files}
    arrays[field] = arrays[field] + np.float32(amount)
    np.savez(tmp_path / name, **arrays)
    return tmp_path / name


@pytest.mark.parametrize(
    ("name", "field", "amount", "outcome"),
    [
        ("unet_reduced.npz", "timestep", 0.1, "out"),
        ("unet_reduced.npz", "added_time_ids", 0.5, "out"),
        ("unet_reduced.npz", "out", 1e-3, "out"),
        ("rife.npz", "mid", 0.01, "mid"),
        ("audio_path_short.npz", "motion_buckets", 0.01, "motion_buckets"),
    ],
)
def test_a_difference_is_found(
    tmp_path: Path, name: str, field: str, amount: float, outcome: str
) -> None:
    path = changed(tmp_path, name, field, amount)
    assert outcome in {result.what for result in results_of(path) if not result.passed}


@torch.inference_mode()
def other_loop(parameters: dict[str, Any]) -> dict[str, np.ndarray]:
    """A loop of another size, written out plainly: what a further golden file may hold."""
    parts, generator = Parts.by_rule(), torch.Generator().manual_seed(1)
    height, width, frames = (parameters[k] for k in ("height", "width", "num_frames"))
    shape = (4, height // 8, width // 8)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator)

    mask = torch.zeros(1, 3, height, width)
    mask[..., height // 4 : height // 2, width // 4 : width // 2] = 1
    mean, tokens, silence = normal(1, *shape), normal(frames, 32, 80), normal(32, 80)
    clip, buckets, noise = normal(1, 80), 16 + 4 * normal(frames, 2), normal(1, frames, *shape)
    masks = face_masks(mask[:, :1], *shape[1:], torch.float32)
    identity = Identity(clip, mean[0], masks, silence)
    sigmas = [float(s) for s in karras_sigmas(parameters["num_inference_steps"])]
    guidance = Guidance(parameters["min_guidance_scale1"], parameters["min_guidance_scale2"])
    window, scale = parameters["frames_per_batch"], parameters["motion_bucket_scale"]
    x, starts = mean * VAE_SCALE + sigmas[0] * noise[0], []
    unet = parts.get("unet", full=False)
    for step, sigma in enumerate(sigmas[:-1]):
        starts.append(x.numpy())
        total, count = torch.zeros_like(x), torch.zeros(frames, 1, 1, 1)
        for start in range(0, frames, window - parameters["overlap"]):
            index = [
                (start - step * parameters["shift_offset"] + k) % frames for k in range(window)
            ]
            ids = added_ids(buckets[index], MotionScale(scale), parameters["fps"])
            conditions = branch_conditions(identity, tokens[index], ids)
            scaled = scale_input(x[index], sigma).expand(3, -1, -1, -1, -1)
            v = combine(unet(scaled, torch.full((3,), timestep(sigma)), conditions), guidance)
            moved = euler_step(x[index], v, sigma, sigmas[step + 1])
            for place, frame in enumerate(index):
                total[frame] += moved[place]
                count[frame] += 1
        x = total / count
    pictures = torch.cat(list(decode(parts.get("vae", full=False), x, 2)))
    arrays = {
        "face_mask": mask, "audio_tokens": tokens, "uncond_token": silence, "noise": noise,
        "motion_buckets": buckets, "image_embeds": clip, "vae_mean": mean, "latents_final": x,
        "decoded": pictures,
    }  # fmt: skip
    plain = {name: value.numpy() for name, value in arrays.items()}
    return plain | {"latents_start": np.stack(starts), "params": np.array(json.dumps(parameters))}


LOOP = {
    "height": 64, "width": 192, "num_frames": 7, "decode_chunk_size": 2, "fps": 25.0,
    "motion_bucket_scale": 0.7, "min_guidance_scale1": 1.5, "max_guidance_scale1": 1.5,
    "min_guidance_scale2": 4.0, "max_guidance_scale2": 4.0, "overlap": 1, "shift_offset": 2,
    "frames_per_batch": 3, "num_inference_steps": 2, "i2i_noise_strength": 1.0,
}  # fmt: skip


def test_a_loop_of_another_size_and_name_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "anything.npz"
    np.savez(path, **other_loop(LOOP))
    results = results_of(path)
    assert {r.what for r in results} == {"latents_start", "latents_final", "decoded"}
    assert [result for result in results if not result.passed] == []
    for name, value in (("overlap", 0), ("fps", 12.5), ("min_guidance_scale2", 4.1)):
        told = {
            **LOOP,
            name: value,
            "max_guidance_scale2": {**LOOP, name: value}["min_guidance_scale2"],
        }
        with np.load(path) as archive:
            arrays = {key: archive[key] for key in archive.files}
        np.savez(tmp_path / "other.npz", **{**arrays, "params": np.array(json.dumps(told))})
        failed = {r.what for r in results_of(tmp_path / "other.npz") if not r.passed}
        assert "latents_final" in failed, name


def test_other_numbers_of_steps_and_masks_are_understood(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", sigmas_3=karras_sigmas(3))
    assert [r.what for r in results_of(tmp_path / "s.npz")] == ["sigmas_3"]
    with np.load(GOLDEN / "mask_downsample.npz") as archive:
        np.savez(tmp_path / "m.npz", mask=archive["mask"], d_16x24=archive["d_16x24"])
    assert [(r.what, r.passed) for r in results_of(tmp_path / "m.npz")] == [("d_16x24", True)]


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.98])
def test_a_truncated_file_fails_with_a_word(
    tmp_path: Path, kept: float, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (GOLDEN / "loop_C.npz").read_bytes()
    (tmp_path / "loop.npz").write_bytes(content[: int(kept * len(content))])
    assert main(["--golden", str(tmp_path)]) == 1
    assert "loop.npz" in (told := capsys.readouterr().out)
    assert "FAILED: cannot be read, is it whole?" in told


def test_what_cannot_be_compared_says_why(tmp_path: Path) -> None:
    np.savez(tmp_path / "novel.npz", something=np.zeros(3))
    novel = check_file(tmp_path / "novel.npz", Parts.by_rule(), slow=True)
    assert novel == Skipped("novel.npz", "of no known kind: it holds something")
    with np.load(GOLDEN / "unet_reduced.npz") as archive:
        arrays = {key: archive[key] for key in archive.files if key != "face_mask"}
    np.savez(tmp_path / "bare.npz", **arrays)
    bare = check_file(tmp_path / "bare.npz", Parts.by_rule(), slow=True)
    assert bare == Skipped("bare.npz", "cannot be compared: lacks 'face_mask'", failed=True)
    np.savez(tmp_path / "weak.npz", **(other_loop({**LOOP, "num_inference_steps": 1})))
    with np.load(tmp_path / "weak.npz") as archive:
        arrays = {key: archive[key] for key in archive.files}
    told = json.dumps({**LOOP, "i2i_noise_strength": 0.5})
    np.savez(tmp_path / "weak.npz", **{**arrays, "params": np.array(told)})
    weak = check_file(tmp_path / "weak.npz", Parts.by_rule(), slow=True)
    assert isinstance(weak, Skipped)
    assert "i2i_noise_strength 0.5 is not supported" in weak.why


def test_the_command_writes_its_results_and_its_verdict(tmp_path: Path) -> None:
    (tmp_path / "sigmas.npz").write_bytes((GOLDEN / "scheduler.npz").read_bytes())
    report = tmp_path / "report.json"
    assert main(["--golden", str(tmp_path), "--json", str(report)]) == 0
    assert {"sigmas_25", "timesteps_4"} <= {r["what"] for r in json.loads(report.read_text())}
    changed(tmp_path, "scheduler.npz", "sigmas_4", 1.0)
    assert main(["--golden", str(tmp_path)]) == 1


def test_an_empty_folder_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--golden", str(tmp_path)])
    assert "holds no golden data" in capsys.readouterr().err
