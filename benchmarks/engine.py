"""What a picture costs, stage by stage, on one thread.

python -m benchmarks.engine --engine lite --size 512 --seconds 10 --json FILE
python -m benchmarks.engine --device cuda --streams 1,4,16     # side by side in one process
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from avatar_server.worker.encoders import open_encoder
from benchmarks.report import Figures, report
from benchmarks.sounds import voice
from sonic_stream.avatars import load_avatar
from sonic_stream.engine import StreamOptions, load_engine
from sonic_stream.media import AudioChunk, IdentityLatents

FRAME = 640
# In a new process: imports, weights, a prepared identity, the first picture.
START = """
from time import perf_counter
started_s = perf_counter()
import json
import sys
from pathlib import Path
import numpy as np
from sonic_stream.engine import StreamOptions, load_engine
from sonic_stream.media import AudioChunk, IdentityLatents
engine = load_engine(sys.argv[1], size_px=int(sys.argv[2]), **json.loads(sys.argv[4]))
engine.warm_up()
stream = engine.open(IdentityLatents.load(Path(sys.argv[3])), StreamOptions())
silence = np.zeros(engine.spec.latency_samples, np.float32)
assert stream.push(AudioChunk(silence, engine.spec.sample_rate_hz, 0))
print(perf_counter() - started_s)
"""


def settings_of(options: argparse.Namespace) -> dict[str, str]:
    return {"device": options.device} if options.engine == "lite" else {}


def start_s(options: argparse.Namespace, identity: IdentityLatents) -> float:
    """From nothing to the first picture, warm cache; the median of three processes."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "identity.safetensors"
        identity.save(path)
        settings = json.dumps(settings_of(options))
        command = [
            sys.executable,
            "-c",
            START,
            options.engine,
            str(options.size),
            str(path),
            settings,
        ]
        times = [subprocess.check_output(command, text=True, timeout=60) for _ in range(3)]
    return float(np.median([float(time) for time in times]))


def measure(options: argparse.Namespace) -> Figures:
    engine = load_engine(options.engine, size_px=options.size, **settings_of(options))
    identity = engine.prepare(load_avatar(options.avatar))
    stream = engine.open(identity, StreamOptions())
    encoder = open_encoder("vp8", options.size, engine.spec.fps, 1_500_000)
    samples = voice(options.seconds, engine.spec.sample_rate_hz).astype(np.float32)
    stages: dict[str, list[float]] = {"encode": []}
    frames, started_s = 0, perf_counter()
    for start in range(0, len(samples) - FRAME + 1, FRAME):
        chunk = AudioChunk(samples[start : start + FRAME], engine.spec.sample_rate_hz, start)
        for made in stream.push(chunk):
            for stage, milliseconds in engine.stage_ms.items():
                stages.setdefault(stage, []).append(milliseconds)
            before_s = perf_counter()
            encoder.encode(made.frames[0], made.pts, keyframe=False)
            stages["encode"].append(1000 * (perf_counter() - before_s))
            frames += 1
    passed_s = perf_counter() - started_s
    medians = {stage: float(np.median(values)) for stage, values in stages.items()}
    parts = {stage: medians.get(stage, 0.0) for stage in ("features", "network", "render")}
    return {
        **{f"{stage}_ms": value for stage, value in parts.items()},
        "render_ms_p95": float(np.percentile(stages["render"], 95)),
        "encode_ms": medians["encode"],
        "frame_ms": sum(parts.values()),
        "start_s": start_s(options, identity),
        "rtf": passed_s / (frames / float(engine.spec.fps)),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="lite")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--avatar", default="mira")
    parser.add_argument("--json", type=Path)
    lite = parser.add_argument_group("lite")
    lite.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N, auto or torch-cpu")
    lite.add_argument("--streams", default="", help="numbers of streams, with commas: side by side")
    sonic = parser.add_argument_group("sonic", "see benchmarks/sonic.py")
    sonic.add_argument("--weights", default="")
    sonic.add_argument("--random-weights", action="store_true")
    sonic.add_argument("--reduced", action="store_true", help="a tiny model, for a CPU")
    sonic.add_argument("--precision", default="auto")
    sonic.add_argument("--refresh", type=int, default=2)
    sonic.add_argument("--decoder", default="full", help="full or tiny")
    sonic.add_argument("--hops", type=int, default=5, help="live hops measured after the first")
    for name in ("sizes", "steps", "windows", "kinds"):
        sonic.add_argument(f"--{name}", default="", help="some of them, with commas")
    options = parser.parse_args()
    if options.engine == "sonic":
        from benchmarks.sonic import measure as measure_sonic

        report("Engine sonic, live", measure_sonic(options), options.json)
        return
    if options.streams:
        from benchmarks.streams import measure_streams

        title = f"Engine lite, {options.device}, {options.size} px, streams side by side"
        report(title, measure_streams(options), options.json)
        return
    title = f"Engine {options.engine}, {options.size} px, {options.seconds:g} s, VP8 1.5 Mbit/s"
    report(title, measure(options), options.json)


if __name__ == "__main__":
    main()
