"""Compatibility with the reference, measured on tensors of known inputs and rule-made weights.

    python -m sonic_stream.engines.sonic.check --golden DIR [--slow] [--json FILE]

Reads every file of a known kind in DIR, whatever its name, and prints the largest error of each
comparison beside its limit. Exit status 1 when one is exceeded, or a file cannot be read.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

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
    """Files that hold all of `fields` (patterns), and how they are checked; `slow` says which of
    them take long."""

    fields: tuple[str, ...]
    check: Callable[[Arrays, Parts], Iterator[Finding]]
    slow: Callable[[Arrays], bool] = lambda _: False

    def fits(self, arrays: Arrays) -> bool:
        return all(
            any(re.fullmatch(field, name) is not None for name in arrays) for field in self.fields
        )


KINDS = (
    Kind((r"sigmas_\d+",), check_pure.scheduler),
    Kind((r".+_image", r".+_bbox_xywh"), check_pure.pictures),
    Kind(("cases", "columns"), check_pure.crops),
    Kind(("mask", r"d_\d+x\d+"), check_pure.masks),
    Kind(("img0", "img1", "mid"), check_model.rife),
    Kind(("z", "mean"), check_model.vae, lambda _: True),
    Kind(("pixel_values", "image_embeds"), check_model.clip, lambda _: True),
    Kind(("sample", "clip_hidden", "audio_hidden"), check_model.unet, check_model.is_full_unet),
    Kind(("noise", "latents_final", "params"), check_model.loop, check_model.is_long_loop),
    Kind(("x", "clip", "out"), check_audio.audio2bucket),
    Kind(("x", "out"), check_audio.audio2token, lambda _: True),
    Kind(("pcm16",), check_audio.audio_path, check_audio.is_long),
)


@dataclass(frozen=True)
class Skipped:
    """A file that was not compared, and why."""

    file: str
    why: str
    failed: bool = False  # it should have been


@torch.inference_mode()
def check_file(path: Path, parts: Parts, *, slow: bool) -> list[Result] | Skipped:
    """All comparisons of one file."""
    try:
        if path.suffix == ".json":
            found = check_pure.json_kind(json.loads(path.read_text()), slow=slow)
            results = [Result(path.name, *finding) for finding in found]
            return results or Skipped(path.name, "of no kind that is checked")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays: dict[str, Any] = {name: archive[name] for name in archive.files}
    except (OSError, EOFError, ValueError, BadZipFile, zlib.error) as error:
        return Skipped(path.name, f"cannot be read, is it whole? ({error})", failed=True)
    kind = next((kind for kind in KINDS if kind.fits(arrays)), None)
    if kind is None:
        fields = ", ".join(list(arrays)[:4])
        return Skipped(path.name, f"of no known kind: it holds {fields or 'nothing'}")
    if kind.slow(arrays) and not slow:
        return Skipped(path.name, "takes long: compared with --slow")
    try:
        return [Result(path.name, *finding) for finding in kind.check(arrays, parts)]
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        why = f"lacks {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        return Skipped(path.name, f"cannot be compared: {why}", failed=True)


def check_folder(folder: Path, *, slow: bool) -> Iterator[Result | Skipped]:
    """Raises `ValueError` when the folder holds nothing to check."""
    parts = Parts.by_rule()
    files = sorted(p for p in folder.iterdir() if p.suffix in (".npz", ".json"))
    if not files:
        raise ValueError(f"{folder} holds no golden data")
    for path in files:
        results = check_file(path, parts, slow=slow)
        yield from [results] if isinstance(results, Skipped) else results


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--golden", type=Path, required=True, metavar="DIR")
    parser.add_argument("--slow", action="store_true", help="full-size parts too: 9 GB, minutes")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    outcomes: list[Result | Skipped] = []
    try:
        for outcome in check_folder(options.golden, slow=options.slow):
            sys.stdout.write(_line(outcome) + "\n")
            sys.stdout.flush()  # the next may take minutes
            outcomes.append(outcome)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if options.json:
        options.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    results = [outcome for outcome in outcomes if isinstance(outcome, Result)]
    failed = any(isinstance(o, Skipped) and o.failed for o in outcomes)
    return 0 if results and not failed and all(result.passed for result in results) else 1


def _line(outcome: Result | Skipped) -> str:
    if isinstance(outcome, Skipped):
        return f"{outcome.file:34} {'FAILED: ' if outcome.failed else ''}{outcome.why}"
    verdict = "ok" if outcome.passed else "FAILED"
    error = f"{outcome.error:9.2e} <= {outcome.limit:.0e}"
    return f"{outcome.file:34} {outcome.what:26} {error}  {verdict}"


if __name__ == "__main__":
    sys.exit(main())
