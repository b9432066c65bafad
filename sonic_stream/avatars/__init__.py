"""The packaged avatars: drawn by `tools/avatars`, shipped with exact landmarks.

Each lies in `<id>/`: `portrait.webp` (1024 px, straight alpha), `landmarks.json` (478 points
in MediaPipe's numbering, relative to the width) and `avatar.json` (name).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sonic_stream.engine import Portrait
from sonic_stream.media import fingerprint

FOLDER = Path(__file__).parent
ORDER = ("mira", "nia", "theo")  # the first one is the default


@dataclass(frozen=True, slots=True)
class PackagedAvatar:
    id: str
    name: str


def list_avatars() -> list[PackagedAvatar]:
    return [PackagedAvatar(ident, _about(ident)["name"]) for ident in ORDER]


def load_avatar(ident: str) -> Portrait:
    """Raises `ValueError` naming the avatars there are."""
    if ident not in ORDER:
        raise ValueError(f"there is no avatar {ident!r}; there are {', '.join(ORDER)}")
    encoded = (FOLDER / ident / "portrait.webp").read_bytes()
    points = (FOLDER / ident / "landmarks.json").read_bytes()
    picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    landmarks = np.array(json.loads(points)["landmarks"], np.float32) * len(picture)
    rgba = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA))
    return Portrait(
        rgba=rgba,
        landmarks=landmarks.astype(np.float32),
        content=fingerprint(encoded, points),
        blink=bool(_about(ident)["blink"]),
        matte=rgba[..., 3].copy(),
    )


def _about(ident: str) -> dict[str, str]:
    about: dict[str, str] = json.loads((FOLDER / ident / "avatar.json").read_text("utf-8"))
    return about
