"""PURE. Is this picture a good avatar? Reasons and advice, in a person's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np

from sonic_stream.media import ByteArray, FloatArray
from sonic_stream.portrait.faces import Face

Severity = Literal["refused", "limited", "info"]
RIGHT_EYE, LEFT_EYE = (33, 133, 159, 145), (263, 362, 386, 374)
CHEEKS = (50, 280, 205, 425)
MOUTH_OPEN = ("mouth_open", "mouth_wide_open")
MAX_YAW_DEG, GOOD_YAW_DEG = 42.0, 24.0
MIN_FACE_PX, GOOD_FACE_PX = 90.0, 180.0


@dataclass(frozen=True, slots=True)
class Reason:
    code: str
    severity: Severity
    message: str
    advice: str


REASONS = {
    reason.code: reason
    for reason in (
        Reason("no_face", "refused", "No face was found.",
               "Use a picture of one person or character looking into the camera."),
        Reason("several_faces", "refused", "There are several faces.",
               "Cut the picture so that one face remains."),
        Reason("other_faces", "info", "Smaller faces beside the main one are ignored.",
               "Cut them off if they move along."),
        Reason("turned_too_far", "refused", "The head is turned too far to the side.",
               "Use a picture that shows both eyes and the whole mouth."),
        Reason("turned", "limited", "The head is turned a little.",
               "A frontal picture moves more naturally."),
        Reason("too_small", "refused", "The face is too small.",
               "Use a larger picture, or cut it closer to the head."),
        Reason("small", "limited", "The face is small and will look soft.",
               "Use a picture where the face is at least 200 pixels wide."),
        Reason("too_dark", "refused", "The face is too dark.",
               "Use a picture with more light on the face."),
        Reason("dark", "limited", "The face is rather dark.", "More light helps."),
        Reason("blurred", "limited", "The face is not sharp.", "Use a sharper picture."),
        Reason("mouth_wide_open", "limited", "The mouth is wide open.",
               "With closed lips the avatar can speak much better."),
        Reason("mouth_open", "info", "The teeth show.",
               "With closed lips the avatar speaks a little better."),
        Reason("mouth_unclear", "refused", "The mouth was not found in the drawing.",
               "A mouth and a chin drawn clearly, nothing across them, help."),
        Reason("eyes_covered", "limited", "The eyes are covered: the avatar will not blink.",
               "Without sunglasses it looks more alive."),
        Reason("cartoon_eyes", "limited", "Drawn eyes, not clear: the avatar will not blink.",
               "White around the iris, skin around the lines and no hair across help."),
        Reason("boxed_eyes", "info", "Drawn eyes, not clear: they blink, but do not look about.",
               "White around the iris, skin around the lines and no hair across help."),
        Reason("glasses", "info", "Glasses: the brows move less, so that the frames stay still.",
               "Nothing needs to be done."),
        Reason("cut_off", "limited", "The face is cut off at the picture's border.",
               "Use a picture with some room around the head."),
        Reason("not_human", "refused", "This does not look like a human face.",
               "People and human-like characters can speak; animals cannot, yet."),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FitnessReport:
    """Without a refused reason the portrait is `ok`; `blink` tells whether lids are drawn."""

    reasons: tuple[Reason, ...]

    @property
    def ok(self) -> bool:
        return all(reason.severity != "refused" for reason in self.reasons)

    @property
    def blink(self) -> bool:
        return not {"eyes_covered", "cartoon_eyes"} & {reason.code for reason in self.reasons}

    def with_reason(self, code: str) -> FitnessReport:
        return FitnessReport((*self.reasons, REASONS[code]))

    def with_mouth(self, landmarks: FloatArray) -> FitnessReport:
        """The mouth judged again, by landmarks [478, 3] that fit it better."""
        others = [reason.code for reason in self.reasons if reason.code not in MOUTH_OPEN]
        return _report(others + _mouth(landmarks))

    def as_dict(self) -> dict[str, Any]:
        reasons = [
            {"code": r.code, "severity": r.severity, "message": r.message, "advice": r.advice}
            for r in self.reasons
        ]
        return {"ok": self.ok, "reasons": reasons}


def judge(rgba: ByteArray, faces: list[Face]) -> FitnessReport:
    """`faces` largest first, in pixels of `rgba` [H, W, 4]."""
    if not faces:
        return _report(["no_face"])
    codes: list[str] = []
    if len(faces) > 1:
        similar = faces[1].width_px > 0.6 * faces[0].width_px
        codes.append("several_faces" if similar else "other_faces")
    landmarks = faces[0].landmarks
    codes += _geometry(landmarks, rgba.shape[:2])
    codes += _mouth(landmarks)
    codes += _light(rgba, landmarks)
    codes += _eyes(rgba, landmarks)
    return _report(codes)


def yaw_deg(landmarks: FloatArray) -> float:
    """How far the head is turned, from the line between the ears."""
    across = landmarks[454] - landmarks[234]
    return float(np.degrees(np.arctan2(-across[2], across[0])))


def _report(codes: list[str]) -> FitnessReport:
    return FitnessReport(tuple(REASONS[code] for code in codes))


def _geometry(landmarks: FloatArray, shape: tuple[int, ...]) -> list[str]:
    codes = []
    yaw = abs(yaw_deg(landmarks))
    if yaw > MAX_YAW_DEG:
        codes.append("turned_too_far")
    elif yaw > GOOD_YAW_DEG:
        codes.append("turned")
    height = float(np.linalg.norm(landmarks[152] - landmarks[10]))
    if height < MIN_FACE_PX:
        codes.append("too_small")
    elif height < GOOD_FACE_PX:
        codes.append("small")
    inside = (landmarks[:, 0] >= 0) & (landmarks[:, 0] < shape[1])
    inside &= (landmarks[:, 1] >= 0) & (landmarks[:, 1] < shape[0])
    if inside.mean() < 0.97:
        codes.append("cut_off")
    return codes


def _mouth(landmarks: FloatArray) -> list[str]:
    width = float(np.linalg.norm(landmarks[291] - landmarks[61]))
    gap = float(np.linalg.norm(landmarks[14] - landmarks[13])) / max(width, 1e-3)
    return ["mouth_wide_open"] if gap > 0.32 else ["mouth_open"] if gap > 0.06 else []


def _light(rgba: ByteArray, landmarks: FloatArray) -> list[str]:
    x0, y0 = np.maximum(landmarks[:, :2].min(0), 0).astype(int)
    x1, y1 = landmarks[:, :2].max(0).astype(int)
    face = rgba[y0:y1, x0:x1, :3]
    if face.size == 0:
        return []
    grey = cv2.cvtColor(np.ascontiguousarray(face), cv2.COLOR_RGB2GRAY)
    # Bright parts decide: dark skin in good light has highlights, an unlit face has none.
    bright = float(np.percentile(grey, 90))
    codes = ["too_dark"] if bright < 28 else ["dark"] if bright < 60 else []
    scaled = cv2.resize(grey, (256, 256), interpolation=cv2.INTER_AREA)
    if float(cv2.Laplacian(scaled, cv2.CV_64F).var()) < 12:
        codes.append("blurred")
    return codes


def _eyes(rgba: ByteArray, landmarks: FloatArray) -> list[str]:
    grey = cv2.cvtColor(np.ascontiguousarray(rgba[..., :3]), cv2.COLOR_RGB2GRAY)
    skin = float(np.median([_level(grey, landmarks[i], 2) for i in CHEEKS]))
    covered = []
    for outer, inner, top, bottom in (RIGHT_EYE, LEFT_EYE):
        width = float(np.linalg.norm(landmarks[inner] - landmarks[outer]))
        below = landmarks[bottom] + (landmarks[bottom] - landmarks[top]) * 0.2
        below = below + np.array([0, 0.28 * width, 0], np.float32)
        covered.append(_level(grey, below, max(int(0.12 * width), 1)) / max(skin, 1.0))
    return ["eyes_covered"] if max(covered) < 0.5 else []


def _level(grey: ByteArray, point: FloatArray, radius: int) -> float:
    height, width = grey.shape
    x = int(np.clip(point[0], radius, width - radius - 1))
    y = int(np.clip(point[1], radius, height - radius - 1))
    return float(np.median(grey[y - radius : y + radius + 1, x - radius : x + radius + 1]))
