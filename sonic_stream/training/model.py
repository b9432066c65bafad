"""The network in torch, for training: same weights, names and results as the NumPy one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn
from torch.nn import functional

from sonic_stream.engines.lite import features
from sonic_stream.engines.lite.network import CHANNELS, KERNEL_1, KERNEL_2
from sonic_stream.training.phones import CLASSES


def relative(log_mel: Tensor) -> Tensor:
    """Log-mel [B, T, 80] -> features [B, T, 42], as `features.relative` does row by row."""
    loudness = torch.logsumexp(log_mel, 2) - features.LOG_BANDS
    # The peak follower is a running maximum once its own fall is added back.
    fall = torch.arange(loudness.shape[1], dtype=loudness.dtype) * features.RELEASE
    level = torch.cummax(loudness + fall, 1).values - fall
    level = level.clamp(min=features.LEVEL_FLOOR)
    pooled = torch.logaddexp(log_mel[..., ::2], log_mel[..., 1::2]) - 0.69
    bands = (pooled - level[..., None]).clamp(features.BELOW, features.ABOVE)
    below = (loudness - level).clamp(features.BELOW, 0)
    extra = torch.stack([(below + 3) / 2, (level + 7) / 3], 2)
    return torch.cat([(bands + 4) / 2.5, extra], 2)


class TorchMotionNet(nn.Module):
    """Channels at 50 Hz from features at 100 Hz, and the phone class as an auxiliary task."""

    def __init__(self, width: int = 96, hidden: int = 192, layers: int = 1) -> None:
        super().__init__()
        self.c1 = nn.Conv1d(features.ROW, width, KERNEL_1, stride=2)
        self.c2 = nn.Conv1d(width, width, KERNEL_2)
        self.g = nn.GRU(width, hidden, layers, batch_first=True)
        self.o = nn.Linear(hidden, len(CHANNELS))
        self.k = nn.Linear(hidden, len(CLASSES))

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, T, 42], T even -> logits [B, T / 2, 11] and [B, T / 2, classes]."""
        x = functional.pad(rows.transpose(1, 2), (KERNEL_1 - 2, 0))
        x = functional.relu(self.c1(x))
        x = functional.relu(self.c2(functional.pad(x, (KERNEL_2 - 1, 0))))
        x, _ = self.g(x.transpose(1, 2))
        return self.o(x), self.k(x)

    def save(self, path: Path) -> None:
        """What the engine loads; the auxiliary head stays behind."""
        weights = {
            name: np.ascontiguousarray(value.detach().numpy(), np.float32)
            for name, value in self.state_dict().items()
            if not name.startswith("k.")
        }
        save_file(weights, path)
