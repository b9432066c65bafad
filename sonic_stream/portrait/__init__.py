"""From a user's picture file to a judged portrait: decode, find the face, judge, crop."""

from __future__ import annotations

from pathlib import Path

from sonic_stream.engine import EyeKind, Portrait
from sonic_stream.media import fingerprint
from sonic_stream.portrait.animals import is_animal
from sonic_stream.portrait.crop import crop
from sonic_stream.portrait.decode import PortraitError, decode
from sonic_stream.portrait.drawn_eyes import fit_eyes
from sonic_stream.portrait.drawn_mouth import fit_mouth
from sonic_stream.portrait.eyewear import has_glasses
from sonic_stream.portrait.faces import Face, FaceFinder, find_faces, open_finder
from sonic_stream.portrait.fitness import FitnessReport, judge
from sonic_stream.portrait.segment import open_segmenter, person_matte

__all__ = [
    "Face", "FaceFinder", "FitnessReport", "PortraitError", "load_portrait", "open_finder",
]  # fmt: skip


def load_portrait(
    data: bytes,
    finder: FaceFinder | None = None,
    *,
    models: Path | None = None,
    size_px: int = 1024,
    expand_ratio: float = 0.18,
) -> tuple[Portrait | None, FitnessReport]:
    """A picture file's bytes -> the portrait (None when refused) and the report.

    `finder`: the installed one by default; `models`: where it keeps a fetched model. Raises
    `PortraitError` for what is no picture that we read, or when no finder is installed.
    """
    rgba = decode(data)
    finder = finder or open_finder(models)
    faces = find_faces(finder, rgba[..., :3])
    report = judge(rgba, faces)
    if not report.ok:
        return None, report
    cropped, landmarks = crop(rgba, faces[0].landmarks, size_px, expand_ratio)
    refined = finder.find(cropped[..., :3])
    if refined and abs(refined[0].landmarks - landmarks)[:, :2].mean() < 0.05 * size_px:
        landmarks = refined[0].landmarks  # the second look, at a large face, sees better
    eyes: EyeKind = "mesh"
    if report.blink:
        landmarks, eyes = fit_eyes(cropped, landmarks)
    # What the first look took for a face is none from close by; drawings are known by their eyes.
    if eyes != "drawn" and (not refined or is_animal(cropped, landmarks)):
        return None, report.with_reason("not_human")
    if eyes in ("boxed", "unclear"):
        report = report.with_reason("boxed_eyes" if eyes == "boxed" else "cartoon_eyes")
    glasses = report.blink and has_glasses(cropped, landmarks)
    if glasses:
        report = report.with_reason("glasses")
    fitted = fit_mouth(cropped, landmarks)  # last: eyes and glasses know the mesh's cheeks
    if fitted is None:
        return None, report.with_reason("mouth_unclear")
    if fitted is not landmarks:
        landmarks, report = fitted, report.with_mouth(fitted)
    matte = person_matte(open_segmenter(), rgba, faces[0].landmarks, size_px, expand_ratio)
    content = fingerprint(data, size_px, expand_ratio)
    portrait = Portrait(cropped, landmarks, content, report.blink, matte, glasses, eyes)
    return portrait, report
