"""Where the person is: a small protocol, and MediaPipe behind it, in both of its generations."""

from __future__ import annotations

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from sonic_stream.media import ByteArray, FloatArray
from sonic_stream.portrait.crop import crop, square
from sonic_stream.portrait.decode import PortraitError
from sonic_stream.portrait.matte import WORK_PX, refine

# The Tasks model of newer MediaPipe; its file is given by the user and may be pinned.
MODEL_VARIABLE = "AVATAR_SELFIE_SEGMENTER"
HASH_VARIABLE = "AVATAR_SELFIE_SEGMENTER_SHA256"
WIDER = 0.7  # added to the crop's `expand_ratio` for a second look that sees more of the body
CUT_OUT_SHARE = 0.08  # so much of a picture is transparent when somebody has cut it out


class PersonSegmenter(Protocol):
    def segment(self, rgb: ByteArray) -> FloatArray:
        """The probability of a person, float32 [H, W], in a picture uint8 [H, W, 3]."""
        ...


def open_segmenter() -> PersonSegmenter | None:
    """The segmenter that is installed, None when there is none.

    Raises `PortraitError` when its model is not the file that was pinned."""
    if find_spec("mediapipe") is None:
        return None
    import mediapipe

    if hasattr(mediapipe, "solutions"):
        return SelfieSegmenter(mediapipe)
    model = _model_file()
    return TasksSegmenter(mediapipe, model) if model is not None else None


def person_matte(
    segmenter: PersonSegmenter | None,
    rgba: ByteArray,
    landmarks: FloatArray,
    size_px: int,
    expand_ratio: float,
) -> ByteArray | None:
    """The matte uint8 [S, S] of the crop around a face; None: it cannot be told.

    A picture that was cut out already tells it by its own alpha."""
    cropped, inside = crop(rgba, landmarks, size_px, expand_ratio)
    alpha = cropped[..., 3]
    if float((alpha < 8).mean()) >= CUT_OUT_SHARE:
        return alpha
    if segmenter is None:
        return None
    coarse = likely_person(segmenter, rgba, landmarks, expand_ratio)
    matte = refine(np.ascontiguousarray(cropped[..., :3]), coarse, inside)
    return np.minimum(matte, alpha)


def likely_person(
    segmenter: PersonSegmenter, rgba: ByteArray, landmarks: FloatArray, expand_ratio: float
) -> FloatArray:
    """The mean of a close look and of a wide one, in the close look's frame."""
    shape = (rgba.shape[0], rgba.shape[1])
    near = square(landmarks, shape, expand_ratio)
    looks = []
    for ratio in (expand_ratio, expand_ratio + WIDER):
        wide = square(landmarks, shape, ratio)
        picture, _ = crop(rgba, landmarks, WORK_PX, ratio)
        seen = segmenter.segment(np.ascontiguousarray(picture[..., :3]))
        zoom = wide[2] / near[2]
        shift = [((wide[i] - wide[2] / 2) - (near[i] - near[2] / 2)) * WORK_PX / near[2]
                 for i in (0, 1)]  # fmt: skip
        affine = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
        looks.append(
            cv2.warpAffine(seen, affine, (WORK_PX, WORK_PX), borderMode=cv2.BORDER_REPLICATE)
        )
    return np.asarray((looks[0] + looks[1]) / 2, np.float32)


class SelfieSegmenter:
    """MediaPipe up to 0.10: its wheel carries a square and a landscape model."""

    def __init__(self, mediapipe: Any) -> None:
        solution = mediapipe.solutions.selfie_segmentation.SelfieSegmentation
        self._models = [(solution(model_selection=i), share) for i, share in ((0, 0.7), (1, 0.3))]

    def segment(self, rgb: ByteArray) -> FloatArray:
        found = [share * model.process(rgb).segmentation_mask for model, share in self._models]
        return np.asarray(sum(found), np.float32)


class TasksSegmenter:
    """MediaPipe from 1.0: the Tasks API with a model file of the user's."""

    def __init__(self, mediapipe: Any, model: Path) -> None:
        self._mediapipe = mediapipe
        vision = mediapipe.tasks.vision
        base = mediapipe.tasks.BaseOptions(model_asset_path=str(model))
        self._segmenter = vision.ImageSegmenter.create_from_options(
            vision.ImageSegmenterOptions(base_options=base, output_confidence_masks=True)
        )

    def segment(self, rgb: ByteArray) -> FloatArray:
        picture = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb)
        )
        masks = self._segmenter.segment(picture).confidence_masks
        likely = np.asarray(masks[0].numpy_view(), np.float32).reshape(rgb.shape[:2])
        # Models of several classes put the background first.
        return likely if len(masks) == 1 else 1 - likely


def _model_file() -> Path | None:
    path = os.environ.get(MODEL_VARIABLE)
    if not path or not Path(path).is_file():
        return None
    expected = os.environ.get(HASH_VARIABLE)
    if expected and hashlib.sha256(Path(path).read_bytes()).hexdigest() != expected.lower():
        raise PortraitError(
            "bad_person_model", "The selfie segmenter model is not the expected file.",
            f"Its SHA-256 differs from {HASH_VARIABLE}; download it again.",
        )  # fmt: skip
    return Path(path)
