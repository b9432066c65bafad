"""Finding faces: a small protocol, and MediaPipe behind it, in both of its generations."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import cv2
import numpy as np

from sonic_stream.media import ByteArray, FloatArray
from sonic_stream.portrait.decode import PortraitError
from sonic_stream.portrait.landmarker import default_folder, landmarker_model

MAX_FACES = 4
MIN_CONFIDENCE = 0.3
# What MediaPipe imports to draw diagrams: half a second that we never need.
PLOTTING = ("matplotlib", "matplotlib.pyplot")
INSTALL = "Install it with: make run, or as tools/install.sh does (see README)."


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


def open_finder(models: Path | None = None) -> FaceFinder:
    """The finder that is installed; `models`: where a fetched model is kept.

    Raises `PortraitError` with what to do when there is none."""
    if find_spec("mediapipe") is None:
        raise PortraitError("no_face_finder", "No face finder is installed.", INSTALL)
    try:
        with _without_plotting():
            import mediapipe
    except ImportError as error:
        problem = f"The face finder cannot start: {error}."
        raise PortraitError("no_face_finder", problem, INSTALL) from error

    if hasattr(mediapipe, "solutions"):
        return FaceMeshFinder(mediapipe)
    return FaceLandmarkerFinder(mediapipe, landmarker_model(models or default_folder()))


@contextmanager
def _without_plotting() -> Iterator[None]:
    missing = [name for name in PLOTTING if name not in sys.modules]
    sys.modules.update({name: ModuleType(name) for name in missing})
    try:
        yield
    finally:
        for name in missing:
            sys.modules.pop(name, None)


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
            min_detection_confidence=MIN_CONFIDENCE,
        )

    def find(self, rgb: ByteArray) -> list[Face]:
        found = self._mesh.process(np.ascontiguousarray(rgb)).multi_face_landmarks or []
        return [_face(face.landmark, rgb) for face in found]


class FaceLandmarkerFinder:
    """MediaPipe from 1.0: the Tasks API with a model file."""

    def __init__(self, mediapipe: Any, model: Path) -> None:
        self._mediapipe = mediapipe
        self._options = mediapipe.tasks.vision.FaceLandmarkerOptions(
            base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(model)),
            num_faces=MAX_FACES,
            min_face_detection_confidence=MIN_CONFIDENCE,
        )

    def find(self, rgb: ByteArray) -> list[Face]:
        picture = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb)
        )
        # Opened for each picture (30 ms): one that lives until the interpreter ends fails then.
        landmarker = self._mediapipe.tasks.vision.FaceLandmarker
        with landmarker.create_from_options(self._options) as opened:
            found = opened.detect(picture).face_landmarks
        return [_face(face, rgb) for face in found]


def _face(points: Any, rgb: ByteArray) -> Face:
    height, width = rgb.shape[:2]
    landmarks = [[p.x * width, p.y * height, p.z * width] for p in points]
    return Face(np.array(landmarks, np.float32))


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
