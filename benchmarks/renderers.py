"""The embedded engine's two renderers beside each other: how far apart, and as pictures.

python -m benchmarks.renderers --device torch-cpu --size 512 --picture /tmp/renderers.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from benchmarks.pictures.poses import shown
from benchmarks.report import Figures, report
from sonic_stream.avatars import ORDER, load_avatar
from sonic_stream.engine import StreamOptions, load_engine
from sonic_stream.engines.lite.choice import open_engine
from sonic_stream.engines.lite.painter import Painter, Shot
from sonic_stream.media import ByteArray, IdentityLatents

WALLS = [StreamOptions(background=wall) for wall in ("keep", "blur", "#00c81e")]
CLEAR = [StreamOptions(background="none"), StreamOptions(alpha=True)]
GAIN = 60  # of the difference that is shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures, tiles = compared(options.device, options.size)
    if options.picture is not None:
        cv2.imwrite(str(options.picture), cv2.cvtColor(np.hstack(tiles), cv2.COLOR_RGB2BGR))
    title = f"Renderers of lite: the processor's against {options.device}, {options.size} px"
    report(title, figures, options.json)


def compared(device: str, size_px: int) -> tuple[Figures, list[ByteArray]]:
    """Differences in levels of 255, and a column of pictures for each avatar: the processor's, the
    device's, and their difference, amplified."""
    engine = load_engine("lite", size_px=size_px, device="cpu")
    identities = [engine.prepare(load_avatar(name)) for name in ORDER]
    painters = [open_engine(device=name, size_px=size_px).painter for name in ("cpu", device)]
    motions = [motion for group in shown().values() for motion in group.values()]
    largest, means, over_two, tiles = [], [], [], []
    for options in WALLS + CLEAR:
        for identity in identities:
            pairs = zip(*(drawn(p, identity, options, motions) for p in painters), strict=True)
            for ours, theirs in pairs:
                difference = np.abs(ours.astype(int) - theirs)
                largest.append(int(difference.max()))
                means.append(float(difference.mean()))
                over_two.append(float((difference > 2).mean()))
            if options == WALLS[0]:
                loud = np.clip(difference * GAIN, 0, 255).astype(np.uint8)
                tiles.append(np.vstack([ours, theirs, loud]))
    figures: Figures = {
        "pictures": len(largest),
        "largest": max(largest),
        "mean": float(np.mean(means)),
        "mean_of_worst_picture": max(means),
        "values_off_by_more_than_2_ppm": 1e6 * float(np.mean(over_two)),
    }
    return figures, tiles


def drawn(
    painter: Painter, identity: IdentityLatents, options: StreamOptions, motions: list
) -> list[ByteArray]:
    scene = painter.scene(identity, options)
    return [
        picture.pixels for picture in painter.paint([Shot(m, ((scene, 1.0),)) for m in motions])
    ]


if __name__ == "__main__":
    main()
