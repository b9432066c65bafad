"""PURE. Which frames are due when: the sliding window's bookkeeping, shared by all engines."""

from __future__ import annotations

import numpy as np

from sonic_stream.media import AudioChunk, EngineSpec


class FrameClock:
    """Counts a stream's audio and says which frames it makes due. Enforces continuity."""

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._origin_frame: int | None = None
        self._samples = 0
        self._frames = 0
        self._generation = 0

    def push(self, audio: AudioChunk) -> range:
        """The pts of the frames due after this chunk. Raises `ValueError` on a wrong rate,
        a gap, or an origin that is no whole frame."""
        spec = self._spec
        if audio.sample_rate_hz != spec.sample_rate_hz:
            raise ValueError(
                f"{spec.engine} hears {spec.sample_rate_hz} Hz, not {audio.sample_rate_hz}"
            )
        if self._origin_frame is None:
            frame, rest = divmod(audio.pts, spec.samples_per_frame)
            if rest:
                raise ValueError(f"a stream starts at a whole frame, not at sample {audio.pts}")
            self._origin_frame = frame
        if audio.pts != self.end_pts:
            raise ValueError(f"audio must continue at sample {self.end_pts}, not at {audio.pts}")
        self._samples += len(audio.samples)
        self._generation = audio.generation
        first = self._origin_frame + self._frames
        self._frames = spec.frames_ready(self._samples)
        return range(first, self._origin_frame + self._frames)

    @property
    def end_pts(self) -> int:
        """Of the audio pushed so far; 0 before the first."""
        return (self._origin_frame or 0) * self._spec.samples_per_frame + self._samples

    def padding(self) -> AudioChunk | None:
        """The silence after which everything pushed so far is shown; None when nothing is."""
        spec = self._spec
        if self._origin_frame is None:
            return None
        hop = spec.hop_frames * spec.samples_per_frame
        needed = -(-self._samples // hop) * hop + spec.look_ahead_samples
        return AudioChunk(
            np.zeros(max(needed - self._samples, 0), np.float32),
            spec.sample_rate_hz,
            self.end_pts,
            self._generation,
        )
