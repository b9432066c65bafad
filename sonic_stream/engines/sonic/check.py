"""Compatibility with the reference, measured on tensors of known inputs and rule-made weights.

    python -m sonic_stream.engines.sonic.check --golden DIR [--slow] [--json FILE]

Reads every file of a known kind in DIR, whatever its name, and prints the largest error of each
comparison beside its limit. Exit status 1 when one is exceeded.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sonic_stream.engines.sonic import check_audio, check_model, check_pure
from sonic_stream.engines.sonic.parts import Parts

Arrays = Mapping[str, np.ndarray]  # type: ignore[type-arg]
Finding = tuple[str, float, float]  # what was compared, the largest error, its limit


@dataclass(frozen=True)
class Result:
    file: str
    what: str
    error: float
    limit: float

    @property
    def passed(self) -> bool:
        return self.error <= self.limit  # False for NaN too


@dataclass(frozen=True)
class Kind:
    """Files that hold all of `fields`, and how they are checked; `slow` says which take long."""

    fields: tuple[str, ...]
    check: Callable[[Arrays, Parts], Iterator[Finding]]
    slow: Callable[[Arrays], bool] = lambda _: False


KINDS = (
    Kind(("sigmas_1",), check_pure.scheduler),
    Kind(("p0_image",), check_pure.pictures),
    Kind(("cases", "columns"), check_pure.crops),
    Kind(("mask", "d_2x3"), check_pure.masks),
    Kind(("img0", "img1", "mid"), check_model.rife),
    Kind(("z", "mean"), check_model.vae, lambda _: True),
    Kind(("pixel_values",), check_model.clip, lambda _: True),
    Kind(("sample", "clip_hidden"), check_model.unet, check_model.is_full_unet),
    Kind(("window_index", "noise"), check_model.loop, check_model.is_long_loop),
    Kind(("x", "out_zero"), check_audio.audio2token, lambda _: True),
    Kind(("x", "clip", "out"), check_audio.audio2bucket),
    Kind(("pcm16",), check_audio.audio_path, check_audio.is_long),
)


@torch.inference_mode()
def check_file(path: Path, parts: Parts, *, slow: bool) -> list[Result]:
    """All comparisons of one file; none for an unknown kind, or a slow one unless asked for."""
    if path.suffix == ".json":
        found = check_pure.json_kind(json.loads(path.read_text()), slow=slow)
        return [Result(path.name, *finding) for finding in found]
    with np.load(path, allow_pickle=False) as archive:
        arrays: dict[str, Any] = {name: archive[name] for name in archive.files}
    for kind in KINDS:
        if all(name in arrays for name in kind.fields):
            if kind.slow(arrays) and not slow:
                return []
            return [Result(path.name, *finding) for finding in kind.check(arrays, parts)]
    return []


def check_folder(folder: Path, *, slow: bool) -> list[Result]:
    """Raises `ValueError` when the folder holds nothing to check."""
    parts = Parts.by_rule()
    files = sorted(p for p in folder.iterdir() if p.suffix in (".npz", ".json"))
    results = [result for path in files for result in check_file(path, parts, slow=slow)]
    if not results:
        raise ValueError(f"{folder} holds no golden data")
    return results


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--golden", type=Path, required=True, metavar="DIR")
    parser.add_argument("--slow", action="store_true", help="full-size parts too: 9 GB, minutes")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        results = check_folder(options.golden, slow=options.slow)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    for result in results:
        verdict = "ok" if result.passed else "FAILED"
        line = f"{result.file:34} {result.what:26} {result.error:9.2e} <= {result.limit:.0e} "
        sys.stdout.write(f"{line} {verdict}\n")
    if options.json:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
