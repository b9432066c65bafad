"""Small stored pictures of fixed motions, against which today's are compared.

A picture passes when its mean difference is at most `MEAN` and 99 of 100 values differ by at
most `MOST` (of 255): far above what another OpenCV or processor rounds differently, far below
what one viseme differs from the next.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.pictures.poses import compared
from benchmarks.pictures.render import sitter
from sonic_stream.avatars import ORDER
from sonic_stream.engines.lite.motion import Motion
from sonic_stream.media import ByteArray

FOLDER = Path(__file__).parents[2] / "tests" / "data" / "visual"
SIDE_PX, RENDERED_PX, MARGIN = 72, 512, 0.02
MEAN, MOST = 1.0, 10.0
AGAIN = "python -m benchmarks.pictures --references"


def thumbnails(avatar: str, motions: dict[str, Motion]) -> ByteArray:
    """uint8 [side, n * side, 3]: the faces side by side."""
    model = sitter(avatar, RENDERED_PX, MARGIN)
    return np.hstack([model.face_of(motion, SIDE_PX) for motion in motions.values()])


def stored(avatar: str) -> ByteArray:
    with Image.open(FOLDER / f"{avatar}.webp") as picture:
        return np.array(picture.convert("RGB"))


def store() -> None:
    """Write what `stored` reads."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for avatar in ORDER:
        picture = Image.fromarray(thumbnails(avatar, compared()))
        picture.save(FOLDER / f"{avatar}.webp", lossless=True, quality=100, method=6)


def differing(now: ByteArray, then: ByteArray) -> dict[int, str]:
    """By position, what is wrong with each picture that does not pass."""
    if now.shape != then.shape:
        return {0: f"{now.shape[1] // SIDE_PX} pictures, not {then.shape[1] // SIDE_PX}"}
    away = np.abs(now.astype(int) - then)
    wrong = {}
    for index in range(now.shape[1] // SIDE_PX):
        tile = away[:, index * SIDE_PX : (index + 1) * SIDE_PX]
        mean, most = float(tile.mean()), float(np.quantile(tile, 0.99))
        if mean > MEAN or most > MOST:
            wrong[index] = f"mean {mean:.1f} (at most {MEAN}), 99 % {most:.0f} (at most {MOST:.0f})"
    return wrong


def check(avatar: str, motions: dict[str, Motion], folder: Path) -> str:
    """Nothing, or what is wrong and where the picture of it lies: stored, now, difference x 4."""
    now, then = thumbnails(avatar, motions), stored(avatar)
    wrong = differing(now, then)
    if not wrong:
        return ""
    rows = [then, now]
    if now.shape == then.shape:
        away = np.abs(now.astype(int) - then)
        rows.append(np.clip(4 * away, 0, 255).astype(np.uint8))
    width = max(row.shape[1] for row in rows)
    path = folder / f"{avatar}.png"
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    Image.fromarray(np.vstack(padded)).save(path)
    names = list(motions)
    told = "; ".join(f"{names[index]}: {what}" for index, what in wrong.items())
    return f"{avatar} looks different: {told}. See {path}; if it is meant: {AGAIN}"
