"""The embedded engine with its pictures drawn on a GPU, those of many streams in one batch.

torch is imported when the first scene is made, not before: to prepare portraits needs none.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sonic_stream.avatars import ORDER, load_avatar
from sonic_stream.engine import Push, StreamOptions
from sonic_stream.engines.lite.engine import LiteEngine, LiteStream
from sonic_stream.engines.lite.fields import INDEX
from sonic_stream.engines.lite.motion import Motion, no_coefficients
from sonic_stream.engines.lite.painter import CpuPainter, Painter, Shot
from sonic_stream.media import FrameChunk

if TYPE_CHECKING:
    from sonic_stream.engines.lite.gpu.painter import TorchPainter

log = logging.getLogger(__name__)

# The sound of each and the card's launches stay on one core, which has time for so many. Further
# processes share the card.
STREAMS = 8


class GpuEngine(LiteEngine):
    """`device`: see `open_engine`. `streams` 0 is `STREAMS`."""

    def __init__(self, *, size_px: int = 512, streams: int = 0, device: str = "auto") -> None:
        super().__init__(size_px=size_px, streams=streams)
        self._asked, self.streams = self.streams, streams or STREAMS
        self._device = device
        self._opened: Painter | None = None

    @property
    def painter(self) -> Painter:
        """Raises `ValueError` when the device is not there; "auto" goes on without it."""
        if self._opened is None:
            try:
                self._opened = _torch_painter(self._device)
            except ValueError as error:
                if self._device != "auto":
                    raise
                log.warning("%s; the processor draws", error)
                self._opened = CpuPainter()
                self.streams = self._asked
        return self._opened

    def push_together(self, pushes: Sequence[Push]) -> list[list[FrameChunk]]:
        streams: list[LiteStream] = [push.stream for push in pushes]  # type: ignore[misc]
        return self.shown(
            [
                stream.take(push.audio, render=push.render)
                for stream, push in zip(streams, pushes, strict=True)
            ]
        )

    def warm_up(self) -> None:
        """Kernels are loaded by the first picture that needs them."""
        super().warm_up()
        scene = self.scene(self.prepare(load_avatar(ORDER[0])), StreamOptions())
        speaking = no_coefficients()
        speaking[[INDEX["jaw"], INDEX["smile"]]] = 0.5
        self.painter.paint(
            [Shot(Motion(speaking, blink=0.5, gaze_x=0.5, lids=0.5), ((scene, 1.0),))]
        )


def _torch_painter(device: str) -> TorchPainter:
    try:
        import torch
    except ImportError as error:
        advice = "pip install 'avatar-server[gpu]', or set device = 'cpu' in [engine.settings]"
        raise ValueError(f"device {device!r} needs torch: {advice}") from error
    from sonic_stream.engines.lite.gpu.painter import TorchPainter

    if device == "torch-cpu":
        return TorchPainter("cpu")
    name = "cuda" if device == "auto" else device
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        advice = "install its driver and a torch built for CUDA (https://pytorch.org/get-started)"
        raise ValueError(f"torch sees no CUDA card: {advice}, or set device = 'cpu'")
    if int(name.partition(":")[2] or 0) >= count:
        raise ValueError(f"there is no {name}: cards are numbered from 0 to {count - 1}")
    return TorchPainter(name)
