"""What every benchmark prints and writes: machine, command line, table, flat JSON."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from pathlib import Path

Figures = dict[str, float | int | str | None]


def machine() -> str:
    model = "unknown processor"
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    cores = len(os.sched_getaffinity(0))
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {cores} cores, {memory_gib:.0f} GiB, Python {platform.python_version()}"


def report(title: str, figures: Figures, path: Path | None) -> None:
    """Print the table and write the JSON."""
    module = sys.modules["__main__"].__spec__
    command = f"python -m {module.name} " if module else "python "
    print(f"\n{title}\n  machine  {machine()}")
    print(f"  command  {command}{shlex.join(sys.argv[1:])}\n")
    width = max(len(name) for name in figures)
    for name, value in figures.items():
        shown = f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
        print(f"  {name:<{width}}  {shown}")
    if path is not None:
        path.write_text(json.dumps(figures, indent=2) + "\n")
