"""Makes docs/visemes.webp, docs/filmstrip.webp and docs/talking.mp4; takes some ten seconds.

python -m benchmarks.pictures [--out docs]
python -m benchmarks.pictures --references     the pictures that tests compare with
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from benchmarks.pictures import references
from benchmarks.pictures.layout import contact_sheet, filmstrip
from benchmarks.pictures.poses import shown
from benchmarks.pictures.render import sitter
from benchmarks.pictures.voice import Spoken, speak
from benchmarks.sounds import write_wav
from sonic_stream.avatars import ORDER
from sonic_stream.generate import FPS, GenerateOptions, generate, load_model
from sonic_stream.media import ByteArray
from sonic_stream.recording import Video

AVATAR = ORDER[0]
SIZE_PX, CELL_PX, STRIP_PX, SEED = 512, 216, 112, 11
TEXT = (
    "Hello, I am Mira. I turn a voice into a face, live, on an ordinary laptop. "
    "I blink, I breathe, and I look at you. Shall we begin?"
)
STRIP = ("I turn a voice into a face", 14, 0.12)  # which words; pictures a row; seconds apart


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--references", action="store_true")
    options = parser.parse_args()
    if options.references:
        references.store()
        print(references.FOLDER)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    save_sheet(options.out / "visemes.webp")
    save_talk(options.out / "talking.mp4", options.out / "filmstrip.webp")
    for path in (options.out / name for name in ("visemes.webp", "filmstrip.webp", "talking.mp4")):
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def save_sheet(path: Path) -> None:
    model = sitter(AVATAR, SIZE_PX, margin=0.3)
    groups = {
        heading: {caption: model.face_of(motion, CELL_PX) for caption, motion in group.items()}
        for heading, group in shown().items()
    }
    contact_sheet(groups, columns=5).save(path, quality=86, method=6)


def save_talk(film: Path, strip: Path) -> None:
    spoken = speak(TEXT, lead_s=0.4, tail_s=0.6)
    with TemporaryDirectory() as folder:
        sound = Path(folder) / "talk.wav"
        write_wav(sound, spoken.samples.astype(np.float64), spoken.rate_hz)
        options = GenerateOptions(min_resolution=SIZE_PX, seed=SEED)
        frames = list(generate(sound, AVATAR, options, load_model("lite")).frames)
        Video(iter(frames), Fraction(FPS), sound, len(frames)).export(film)
    save_strip(strip, frames, spoken)


def save_strip(path: Path, frames: list[ByteArray], spoken: Spoken) -> None:
    text, columns, step_s = STRIP
    words = text.split()
    said = [word.text.strip(",.!?") for word in spoken.words]
    at = next(i for i in range(len(said)) if said[i : i + len(words)] == words)
    start_s = spoken.words[at].start_s - 0.1
    end_s = spoken.words[at + len(words)].start_s
    count = -(-int((end_s - start_s) / step_s) // columns) * columns
    times_s = [start_s + step_s * (i + 0.5) for i in range(count)]
    x0, y0, side = sitter(AVATAR, SIZE_PX, margin=0.22).face
    faces = [
        frames[min(int(t * FPS), len(frames) - 1)][y0 : y0 + side, x0 : x0 + side, :3]
        for t in times_s
    ]
    small = [
        np.asarray(cv2.resize(face, (STRIP_PX, STRIP_PX), interpolation=cv2.INTER_AREA))
        for face in faces
    ]
    filmstrip(small, times_s, spoken, columns).save(path, quality=88, method=6)


if __name__ == "__main__":
    main()
