"""Finding faces: a small protocol, and MediaPipe behind it, in both of its generations."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from sonic_stream.media import ByteArray, FloatArray
from sonic_stream.portrait.decode import PortraitError

MAX_FACES = 4
# The Tasks model of newer MediaPipe; its file is given by the user and may be pinned.
MODEL_VARIABLE = "AVATAR_FACE_LANDMARKER"
HASH_VARIABLE = "AVATAR_FACE_LANDMARKER_SHA256"
INSTALL = "Install it with: make run, or pip install 'avatar-server[portraits]' (see README)."


@dataclass(frozen=True, slots=True)
class Face:
    """`landmarks` float32 [478, 3] in pixels, z negative towards the camera."""

    landmarks: FloatArray

    @property
    def width_px(self) -> float:
        return float(np.ptp(self.landmarks[:, 0]))


class FaceFinder(Protocol):
    def find(self, rgb: ByteArray) -> list[Face]:
        """Faces in a picture uint8 [H, W, 3], in no order."""
        ...


def open_finder() -> FaceFinder:
    """The finder that is installed. Raises `PortraitError` with what to do when none is."""
    if find_spec("mediapipe") is None:
        raise PortraitError("no_face_finder", "No face finder is installed.", INSTALL)
    import mediapipe

    if hasattr(mediapipe, "solutions"):
        return FaceMeshFinder(mediapipe)
    return FaceLandmarkerFinder(mediapipe, _model_file())


def find_faces(finder: FaceFinder, rgb: ByteArray) -> list[Face]:
    """Faces, largest first; a second look at the middle and with a margin when none is seen."""
    attempts: tuple[Callable[[], list[Face]], ...] = (
        lambda: finder.find(rgb),
        lambda: _find_padded(finder, rgb),
        lambda: _find_enlarged(finder, rgb),
    )
    for attempt in attempts:
        if faces := attempt():
            return sorted(faces, key=lambda face: -face.width_px)
    return []


class FaceMeshFinder:
    """MediaPipe up to 0.10: its wheel carries the models."""

    def __init__(self, mediapipe: Any) -> None:
        self._mesh = mediapipe.solutions.face_mesh.FaceMesh(
            static_image_mode=True,
            max_num_faces=MAX_FACES,
            refine_landmarks=True,
            min_detection_confidence=0.3,
        )

    def find(self, rgb: ByteArray) -> list[Face]:
        found = self._mesh.process(np.ascontiguousarray(rgb)).multi_face_landmarks or []
        return [_face(face.landmark, rgb) for face in found]


class FaceLandmarkerFinder:
    """MediaPipe from 1.0: the Tasks API with a model file of the user's."""

    def __init__(self, mediapipe: Any, model: Path) -> None:
        self._mediapipe = mediapipe
        vision = mediapipe.tasks.vision
        base = mediapipe.tasks.BaseOptions(model_asset_path=str(model))
        self._landmarker = vision.FaceLandmarker.create_from_options(
            vision.FaceLandmarkerOptions(base_options=base, num_faces=MAX_FACES)
        )

    def find(self, rgb: ByteArray) -> list[Face]:
        picture = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb)
        )
        found = self._landmarker.detect(picture).face_landmarks
        return [_face(face, rgb) for face in found]


def _face(points: Any, rgb: ByteArray) -> Face:
    height, width = rgb.shape[:2]
    landmarks = [[p.x * width, p.y * height, p.z * width] for p in points]
    return Face(np.array(landmarks, np.float32))


def _model_file() -> Path:
    path = os.environ.get(MODEL_VARIABLE)
    if not path or not Path(path).is_file():
        raise PortraitError(
            "no_face_model", "This MediaPipe needs its face landmarker model.",
            f"Download face_landmarker.task from the MediaPipe site and set {MODEL_VARIABLE}.",
        )  # fmt: skip
    expected = os.environ.get(HASH_VARIABLE)
    if expected and hashlib.sha256(Path(path).read_bytes()).hexdigest() != expected.lower():
        raise PortraitError(
            "bad_face_model", "The face landmarker model is not the expected file.",
            f"Its SHA-256 differs from {HASH_VARIABLE}; download it again.",
        )  # fmt: skip
    return Path(path)


def _find_padded(finder: FaceFinder, rgb: ByteArray) -> list[Face]:
    """Faces that fill the picture are seen when there is room around them."""
    margin = max(rgb.shape[:2]) // 3
    padded = cv2.copyMakeBorder(rgb, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    shift = np.array([margin, margin, 0], np.float32)
    return [Face(face.landmarks - shift) for face in finder.find(np.asarray(padded))]


def _find_enlarged(finder: FaceFinder, rgb: ByteArray) -> list[Face]:
    """Small faces of full-length pictures are seen when their upper part is enlarged."""
    height, width = rgb.shape[:2]
    side = min(width, max(height // 2, 1))
    left = (width - side) // 2
    part = np.ascontiguousarray(rgb[:side, left : left + side])
    scale = max(640 / side, 1.0)
    large = np.asarray(cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))
    shift = np.array([left, 0, 0], np.float32)
    return [
        Face((face.landmarks / scale + shift).astype(np.float32)) for face in finder.find(large)
    ]
