"""Sound files in, MP4 out, both piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from sonic_stream.media import ByteArray, FloatArray

SOUND_RATE_HZ = 48_000
CRF = "18"


def read_sound(path: Path, rate_hz: int) -> FloatArray:
    """All of a sound or video file's first sound track, mono float32 [n].

    Raises `ValueError` when there is none or the file cannot be read.
    """
    try:
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            if not container.streams.audio:
                raise ValueError(f"there is no sound in {path}")
            pieces = list(_resampled(container, rate_hz))
    except (av.FFmpegError, OSError) as error:
        raise ValueError(f"{path} cannot be read as sound: {error}") from error
    if not pieces:
        raise ValueError(f"{path} holds no sound")
    # The mean of the channels: libswresample's own mix-down makes them louder.
    samples: FloatArray = np.concatenate([piece.to_ndarray().mean(axis=0) for piece in pieces])
    return samples


def _resampled(
    container: av.container.InputContainer, rate_hz: int, layout: str | None = None
) -> Iterator[av.AudioFrame]:
    """Planar float32; with the source's own channels unless told otherwise."""
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate_hz)
    for frame in container.decode(audio=0):
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


@dataclass
class Video:
    """Pictures as they are made, and the sound file that they belong to."""

    frames: Iterator[ByteArray]
    fps: Fraction
    sound: Path
    frame_count: int

    def export(self, path: Path) -> int:
        """H.264 and AAC into an MP4, streaming; the number of pictures written.

        The file appears under its name only when it is whole.
        """
        partial = path.with_name(f".{path.name}.partial.mp4")
        try:
            with av.open(str(partial), "w", options={"movflags": "faststart"}) as out:
                written = self._write(out)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return written

    def _write(self, out: av.container.OutputContainer) -> int:
        video = out.add_stream("libx264", rate=self.fps, options={"crf": CRF, "preset": "medium"})
        video.pix_fmt = "yuv420p"
        written, spoken_s = 0, 0.0
        with av.open(str(self.sound), options={"protocol_whitelist": "file"}) as source:
            layout = "mono" if source.streams.audio[0].channels == 1 else "stereo"
            audio = out.add_stream("aac", rate=SOUND_RATE_HZ, layout=layout)
            sound = _resampled(source, SOUND_RATE_HZ, layout)
            for picture in self.frames:
                if written == 0:
                    video.height, video.width = picture.shape[:2]
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = written, 1 / self.fps
                out.mux(video.encode(frame))
                written += 1
                while spoken_s < written / self.fps and (piece := next(sound, None)) is not None:
                    spoken_s += piece.samples / SOUND_RATE_HZ
                    piece.pts = None
                    out.mux(audio.encode(piece))
            for piece in sound:
                piece.pts = None
                out.mux(audio.encode(piece))
            out.mux(video.encode(None))
            out.mux(audio.encode(None))
        return written
