from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sonic_stream.engines.sonic.check import check_file, check_folder, main
from sonic_stream.engines.sonic.parts import Parts

GOLDEN = Path("tests/data/sonic")


def test_every_fast_comparison_is_within_its_limit() -> None:
    results = check_folder(GOLDEN, slow=False)
    assert [result for result in results if not result.passed] == []
    checked = {result.file for result in results}
    everything = {p.name for p in GOLDEN.iterdir() if p.suffix in (".npz", ".json")}
    assert everything - checked == {"unet_full.npz", "vae_full.npz"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_full_size_parts_are_within_their_limits() -> None:
    results = [
        result
        for name in ("unet_full.npz", "vae_full.npz")
        for result in check_file(GOLDEN / name, Parts.by_rule(), slow=True)
    ]
    assert len(results) >= 3
    assert [result for result in results if not result.passed] == []


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
    failed = {r.what for r in check_file(path, Parts.by_rule(), slow=False) if not r.passed}
    assert outcome in failed


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
