"""How well a network does on voices it was never trained on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from sonic_stream.engines.lite.features import LOG_FLOOR
from sonic_stream.engines.lite.network import CHANNEL, CHANNELS
from sonic_stream.media import FloatArray
from sonic_stream.training.dataset import Rows
from sonic_stream.training.model import TorchMotionNet, relative

LONGEST_ROWS = 9000  # 90 s a voice
QUIETER = 0.05  # power: speech at an ordinary level, not at its peak


def evaluate(
    net: TorchMotionNet, held_out: Mapping[str, Rows], look_ahead_rows: int
) -> dict[str, dict[str, float]]:
    """Per voice the correlation of each channel with its target, and `close_f1`."""
    scores = {}
    for voice, rows in held_out.items():
        count = min(len(rows.log_mel), LONGEST_ROWS) // 2 * 2
        power = torch.from_numpy(rows.log_mel[:count].astype(np.float32)).exp()
        with torch.no_grad():
            logits, _ = net(relative(torch.log(power * QUIETER + LOG_FLOOR)[None]))
        said = torch.sigmoid(logits)[0].numpy()
        index = np.arange(len(said)) * 2 + 1 - look_ahead_rows
        wanted = rows.channels[index[index >= 0]].astype(np.float32)
        scores[voice] = score(said[index >= 0], wanted)
    return scores


def score(said: FloatArray, wanted: FloatArray) -> dict[str, float]:
    """Channels [n, 11] against targets [n, 11]."""
    result = {name: correlation(said[:, i], wanted[:, i]) for i, name in enumerate(CHANNELS)}
    shut, should = said[:, CHANNEL["close"]] > 0.5, wanted[:, CHANNEL["close"]] > 0.5
    result["close_f1"] = 2 * float((shut & should).sum()) / max(1, int(shut.sum() + should.sum()))
    return result


def correlation(a: FloatArray, b: FloatArray) -> float:
    """Pearson's; 0 where either is constant."""
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 1e-12 else 0.0
