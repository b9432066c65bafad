"""Turn drawn avatars into the package's data: picture with alpha, landmarks, name.

    python tools/avatars/package.py mira tools/avatars/painted/out/avatar.png SIDECAR.json

Needs mediapipe 0.10.21 (see requirements.txt) for the landmarks that the drawing does not
know; those that it does know (eyes, irises, lips) replace what was found.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import mediapipe
import numpy as np

TARGET = Path(__file__).parents[2] / "sonic_stream" / "avatars"
BACKDROP = np.array([190, 195, 200])


def found(rgba: np.ndarray) -> np.ndarray:
    """Landmarks [478, 3] relative to the picture's width, by the face mesh."""
    alpha = rgba[..., 3:] / 255
    rgb = (rgba[..., 2::-1] * alpha + BACKDROP * (1 - alpha)).astype(np.uint8)
    mesh = mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True, refine_landmarks=True, min_detection_confidence=0.3
    )
    face = mesh.process(rgb).multi_face_landmarks[0]
    return np.array([[point.x, point.y, point.z] for point in face.landmark])


def known(sidecar: Path, size: int) -> dict[int, list[float]]:
    """The drawing's own points, relative to the picture's width."""
    data = json.loads(sidecar.read_text())
    scale = 1 / size if "points" in data else 1.0
    return {int(i): [x * scale, y * scale] for i, (x, y) in data.get("points", data).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("id")
    parser.add_argument("picture", type=Path)
    parser.add_argument("sidecar", type=Path)
    parser.add_argument("--name")
    options = parser.parse_args()
    rgba = cv2.imread(str(options.picture), cv2.IMREAD_UNCHANGED)
    landmarks = found(rgba)
    for index, point in known(options.sidecar, len(rgba)).items():
        landmarks[index, :2] = point
    folder = TARGET / options.id
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "portrait.webp"), rgba, [cv2.IMWRITE_WEBP_QUALITY, 96])
    rounded = [[round(float(value), 6) for value in point] for point in landmarks]
    (folder / "landmarks.json").write_text(json.dumps({"landmarks": rounded}) + "\n")
    about = {"name": options.name or options.id.title(), "blink": True}
    (folder / "avatar.json").write_text(json.dumps(about) + "\n")


if __name__ == "__main__":
    main()
