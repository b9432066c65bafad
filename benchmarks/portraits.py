"""What becomes of a folder of pictures: verdicts, and the time to the first talking frame.

python -m benchmarks.portraits --dir DIR --json FILE

Each picture goes the way of an upload: a child process prepares it (`prepare_s`, its start
included), then the engine opens it and draws a frame (`first_frame_ms`). `again_ms` is the same
picture a second time, found in the cache.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.report import Figures, report
from sonic_stream.engine import Engine, StreamOptions, load_engine
from sonic_stream.media import AudioChunk, IdentityLatents
from sonic_stream.prepare import Preparation

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
TIMEOUT_S = 60.0


def prepared(wanted: Preparation, picture: Path) -> tuple[dict[str, Any], float]:
    """The child's answer and its seconds."""
    started_s = perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "sonic_stream.prepare", "--engine", wanted.engine,
         "--size", str(wanted.size_px), "--cache", str(wanted.cache), "--image", str(picture)],
        capture_output=True, timeout=TIMEOUT_S, check=True,
    )  # fmt: skip
    return json.loads(done.stdout), perf_counter() - started_s


def first_frame_ms(engine: Engine, path: str) -> float:
    """From the prepared file to the first picture, fed with exactly the sound it needs."""
    started_s = perf_counter()
    stream = engine.open(IdentityLatents.load(Path(path)), StreamOptions())
    spec = engine.spec
    silence = np.zeros(spec.latency_samples, np.float32)
    chunks = stream.push(AudioChunk(silence, spec.sample_rate_hz, 0))
    if not chunks:
        raise RuntimeError("the engine drew no picture")
    return 1000 * (perf_counter() - started_s)


def verdict(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"refused: {result['error']['code']}"
    reasons = result["report"]["reasons"]
    codes = ", ".join(reason["code"] for reason in reasons)
    if not result["ok"]:
        return f"refused: {codes}"
    limited = any(reason["severity"] == "limited" for reason in reasons)
    return f"limited: {codes}" if limited else f"good: {codes}" if codes else "good"


def measure(options: argparse.Namespace, cache: Path) -> Figures:
    engine = load_engine(options.engine, size_px=options.size)
    engine.warm_up()
    wanted = Preparation(options.engine, options.size, cache)
    figures: Figures = {}
    prepare_s, first_ms, again_ms = [], [], []
    pictures = sorted(p for p in options.dir.iterdir() if p.suffix.lower() in ENDINGS)
    if not pictures:
        raise SystemExit(f"no pictures ({', '.join(ENDINGS)}) in {options.dir}")
    for picture in pictures:
        result, seconds = prepared(wanted, picture)
        figures[f"{picture.name} verdict"] = verdict(result)
        figures[f"{picture.name} prepare_s"] = seconds
        prepare_s.append(seconds)
        if not result["ok"]:
            continue
        first_ms.append(first_frame_ms(engine, result["identity"]))
        figures[f"{picture.name} first_frame_ms"] = first_ms[-1]
        started_s = perf_counter()
        found = wanted.find(picture.read_bytes())
        if found is None:
            raise RuntimeError(f"{picture.name} was prepared and is not found again")
        again_ms.append(1000 * (perf_counter() - started_s) + first_ms[-1])
    accepted = len(first_ms)
    figures |= {"pictures": len(pictures), "accepted": accepted}
    figures |= {"prepare_s median": float(np.median(prepare_s)), "prepare_s max": max(prepare_s)}
    if accepted:
        figures |= {"first_frame_ms max": max(first_ms), "again_ms max": max(again_ms)}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--engine", default="lite")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        figures = measure(options, Path(cache))
    report(f"Portraits, {options.engine}, {options.size} px", figures, options.json)


if __name__ == "__main__":
    main()
