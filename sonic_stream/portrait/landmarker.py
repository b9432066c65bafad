"""The model file of newer MediaPipe: given by its user, or fetched once and checked."""

from __future__ import annotations

import hashlib
import os
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from sonic_stream.portrait.decode import PortraitError

MODEL_VARIABLE = "AVATAR_FACE_LANDMARKER"
URL = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/"
    "face_landmarker/float16/1/face_landmarker.task"
)
# Google's file, Apache-2.0; nothing else is ever loaded from the network.
SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
SIZE_BYTES = 3_758_596
TIMEOUT_S = 20.0


def default_folder() -> Path:
    return Path.home() / ".cache" / "avatar-server"


def landmarker_model(folder: Path, *, url: str = URL, sha256: str = SHA256) -> Path:
    """The user's file where `AVATAR_FACE_LANDMARKER` names one, else the one in `folder`,
    fetched when it is not there or is damaged. Raises `PortraitError` with what to do."""
    given = os.environ.get(MODEL_VARIABLE)
    if given:
        if not Path(given).is_file():
            raise PortraitError(
                "no_face_model", f"{MODEL_VARIABLE} names no file: {given}.",
                f"Download {url} and set it to the file's path.",
            )  # fmt: skip
        return Path(given)
    path = folder / "face_landmarker.task"
    if path.is_file() and _digest(path.read_bytes()) == sha256:
        return path
    data = _download(url)
    if _digest(data) != sha256:
        raise PortraitError(
            "bad_face_model", "What was fetched is not the face finder's model.",
            f"Something on the way changed it. Download {url} elsewhere and set "
            f"{MODEL_VARIABLE} to the file's path.",
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)
    return path


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _download(url: str) -> bytes:
    try:
        with urlopen(url, timeout=TIMEOUT_S) as answer:
            return bytes(answer.read(2 * SIZE_BYTES))
    except (OSError, HTTPException) as error:
        raise PortraitError(
            "no_face_model", f"The face finder's model (4 MB) cannot be fetched: {error}.",
            f"Connect to the network once, or download {url} elsewhere and set "
            f"{MODEL_VARIABLE} to the file's path.",
        ) from error  # fmt: skip
