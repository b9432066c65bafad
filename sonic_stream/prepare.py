"""Prepare a portrait in a process of its own: it reads untrusted files with heavy libraries.

    python -m sonic_stream.prepare --engine lite --size 512 --cache DIR
                                   (--image F | --avatar ID | --backdrop F)

Prints one JSON object: {"ok": true, "identity", "thumbnail", "fingerprint", "report", "matte"}
(of a backdrop, {"ok": true, "fingerprint", "image"}) or {"ok": false, "report"} or {"ok": false,
"error": {"code", "message", "advice"}}. What was prepared before is found in the cache by the
content's hash.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import Portrait, load_engine
from sonic_stream.media import IdentityLatents, fingerprint
from sonic_stream.portrait.decode import PortraitError, decode
from sonic_stream.portrait.segment import MODEL_VARIABLE

CACHE_VERSION = 12  # raise it when what any engine prepares changes
MEMORY_BYTES = 6 << 30
CPU_S = 60
PORTRAIT_PX = 1024
THUMBNAIL_PX = 256
NO_REASONS: dict[str, Any] = {"ok": True, "reasons": []}


@dataclass(frozen=True, slots=True)
class Preparation:
    """What pictures are prepared for; `cache` is the folder of all that was prepared."""

    engine: str
    size_px: int
    cache: Path
    expand_ratio: float = 0.18

    def key(self, content: bytes | str) -> str:
        """`content`: a picture file's bytes, or a packaged portrait's fingerprint."""
        segmenter = os.environ.get(MODEL_VARIABLE, "")
        return fingerprint(
            CACHE_VERSION, self.engine, self.size_px, self.expand_ratio, segmenter, content
        )

    def find(self, content: bytes | str) -> dict[str, Any] | None:
        """What an earlier run answered, if its files are whole."""
        try:
            answer = (self.cache / f"{self.key(content)}.json").read_text()
            result: dict[str, Any] = json.loads(answer)
            IdentityLatents.load(Path(result["identity"]))
            return result if Path(result["thumbnail"]).is_file() else None
        except (OSError, ValueError, KeyError):
            return None


def main() -> None:
    options = arguments().parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries may chatter; standard output is for the answer alone
    try:
        result = backdrop(options) if options.backdrop else prepare(options)
    except PortraitError as error:
        problem = {"code": error.code, "message": str(error), "advice": error.advice}
        result = {"ok": False, "error": problem}
    except (ValueError, MemoryError) as error:
        problem = {"code": "unusable", "message": str(error), "advice": "Choose another picture."}
        result = {"ok": False, "error": problem}
    json.dump(result, answer)
    answer.close()


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("prepare", description=__doc__)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--expand-ratio", type=float, default=0.18)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--image", type=Path)
    what.add_argument("--avatar")
    what.add_argument("--backdrop", type=Path, help="a picture to stand behind the person")
    return parser


def prepare(options: argparse.Namespace) -> dict[str, Any]:
    """Raises `PortraitError` or `ValueError`."""
    wanted = Preparation(options.engine, options.size, options.cache, options.expand_ratio)
    avatar = load_avatar(options.avatar) if options.avatar else None
    data: bytes = b"" if avatar else options.image.read_bytes()
    content = avatar.content if avatar else data
    if (found := wanted.find(content)) is not None:
        return found
    portrait, report = (avatar, NO_REASONS) if avatar else _portrait(options, data)
    if portrait is None:
        return {"ok": False, "report": report}
    identity = load_engine(options.engine, size_px=options.size).prepare(portrait)
    key = wanted.key(content)
    identity_path, thumbnail = wanted.cache / f"{key}.safetensors", wanted.cache / f"{key}.png"
    identity.save(identity_path)
    _write_thumbnail(portrait, thumbnail)
    result = {
        "ok": True,
        "fingerprint": key,
        "identity": str(identity_path),
        "thumbnail": str(thumbnail),
        "report": report,
        "matte": identity.meta.get("matte") == "yes",
    }
    part = wanted.cache / f"{key}.part"
    part.write_text(json.dumps(result))
    part.replace(wanted.cache / f"{key}.json")
    return result


def backdrop(options: argparse.Namespace) -> dict[str, Any]:
    """A stranger's picture, safely decoded, as a PNG of ours. Raises `PortraitError`."""
    data = options.backdrop.read_bytes()
    key = fingerprint(CACHE_VERSION, "backdrop", options.size, data)
    path = options.cache / f"{key}.png"
    if not path.is_file():
        rgba = decode(data)
        scale = options.size / min(rgba.shape[:2])
        if scale < 1:
            rgba = np.asarray(
                cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            )
        part = path.with_name(path.stem + ".part.png")
        cv2.imwrite(str(part), cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGR))
        part.replace(path)
    return {"ok": True, "fingerprint": key, "image": str(path)}


def _portrait(options: argparse.Namespace, data: bytes) -> tuple[Portrait | None, dict[str, Any]]:
    from sonic_stream.portrait import load_portrait

    portrait, report = load_portrait(
        data, models=options.cache, size_px=PORTRAIT_PX, expand_ratio=options.expand_ratio
    )
    return portrait, report.as_dict()


def _write_thumbnail(portrait: Portrait, path: Path) -> None:
    size = (THUMBNAIL_PX, THUMBNAIL_PX)
    small = cv2.resize(portrait.rgba, size, interpolation=cv2.INTER_AREA)
    part = path.with_name(path.stem + ".part.png")
    cv2.imwrite(str(part), cv2.cvtColor(np.asarray(small), cv2.COLOR_RGBA2BGRA))
    part.replace(path)


if __name__ == "__main__":
    main()
