"""Forced alignment: where in a recording of known words each articulatory class is spoken.

A small network that hears both ways learns the classes from synthesised speech, whose times are
known, and then tells recordings apart well enough for Viterbi's algorithm to place their phones.
Its answers on recordings are added to what it learns from, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from sonic_stream.engines.lite.features import LOG_FLOOR, ROW
from sonic_stream.media import FloatArray
from sonic_stream.training import dataset, phones
from sonic_stream.training.augment import Augment
from sonic_stream.training.model import relative
from sonic_stream.training.phones import CLASS_ID, CLASSES, SILENCE, Segment
from sonic_stream.training.prompts import Prompt
from sonic_stream.training.rows import mel_power
from sonic_stream.training.synth import RATE_HZ, Utterance, utterance

SHARES = (0.2, 0.3, 0.5)  # of espeak-ng, recordings (once there are any), other voices
STEPS, BATCH, CROP_ROWS = 1500, 12, 240
ROW_S = 0.01
MIN_ROWS = 2  # nothing is spoken in less than 20 ms
SURE = 0.85  # share of the recordings that is kept: those whose words fit best
LEVEL = 0.05  # power, as in `evaluate`


class Aligner(nn.Module):
    """Features at 100 Hz -> logits of the classes at 100 Hz, hearing past and future."""

    def __init__(self, hidden: int = 96) -> None:
        super().__init__()
        self.conv = nn.Conv1d(ROW, 96, 5, padding=2)
        self.gru = nn.GRU(96, hidden, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * hidden, len(CLASSES))

    def forward(self, rows: Tensor) -> Tensor:
        x = functional.relu(self.conv(rows.transpose(1, 2))).transpose(1, 2)
        logits: Tensor = self.out(self.gru(x)[0])
        return logits


def train(aligner: Aligner, rows: dataset.Rows, augment: Augment, seed: int, steps: int) -> None:
    chance = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(aligner.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    picker = dataset.crops(rows, CROP_ROWS, SHARES)
    for _ in range(steps):
        crops = dataset.crop(rows, picker.pick(BATCH, chance), CROP_ROWS)
        heard = augment(torch.from_numpy(crops.log_mel))
        names = torch.where(heard.speaks[:, None], torch.from_numpy(crops.classes), SILENCE)
        logits = aligner(relative(heard.log_mel))
        loss = functional.cross_entropy(logits.flatten(0, 1), names.flatten())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(aligner.parameters(), 1.0)
        optimiser.step()
        schedule.step()


@dataclass(frozen=True)
class Chain:
    """States in order, each a class; `optional` may be passed over (pauses between words)."""

    names: npt.NDArray[np.int64]
    optional: npt.NDArray[np.bool_]


def chain(words: Sequence[str]) -> Chain:
    """A pause, possibly, around every word; each class as `MIN_ROWS` states."""
    names, optional = [SILENCE], [True]
    for word in words:
        spoken = [CLASS_ID[name] for name in phones.ipa(word)]
        names += [n for n in spoken for _ in range(MIN_ROWS)] + [SILENCE]
        optional += [False] * (MIN_ROWS * len(spoken)) + [True]
    return Chain(np.array(names), np.array(optional))


def viterbi(scores: FloatArray, states: Chain) -> tuple[npt.NDArray[np.int64], float]:
    """Log probabilities [T, classes] -> the state at each row [T] and the mean score of a row.
    Steps: stay, go on, or pass over one optional state."""
    emit = scores[:, states.names]
    length, count = emit.shape
    back = np.zeros((length, count), np.int8)
    best = np.full(count, -np.inf)
    best[: 2 if states.optional[0] else 1] = emit[0, : 2 if states.optional[0] else 1]
    passed = np.concatenate([[False, False], states.optional[1:-1]])
    for row in range(1, length):
        one = np.concatenate([[-np.inf], best[:-1]])
        two = np.where(passed, np.concatenate([[-np.inf] * 2, best[:-2]]), -np.inf)
        options = np.stack([best, one, two])
        back[row] = options.argmax(0)
        best = options.max(0) + emit[row]
    state = count - 1 if best[-1] >= best[-2] else count - 2
    path = np.empty(length, np.int64)
    for row in range(length - 1, -1, -1):
        path[row] = state
        state -= back[row, state]
    return path, float(best[path[-1]]) / length


def parts_of(path: npt.NDArray[np.int64], states: Chain) -> list[Segment]:
    """Runs of the path as segments; the copies of one phone's state are one phone."""
    spoken = states.names != SILENCE
    phone = np.cumsum(np.where(spoken, (np.cumsum(spoken) - 1) % MIN_ROWS == 0, True)) - 1
    runs = phone[path]
    starts = np.flatnonzero(np.concatenate([[True], runs[1:] != runs[:-1]]))
    ends = np.concatenate([starts[1:], [len(runs)]])
    return [
        Segment(float(a) * ROW_S, float(b) * ROW_S, int(states.names[path[a]]))
        for a, b in zip(starts, ends, strict=True)
    ]


def align(aligner: Aligner, prompts: Iterable[Prompt]) -> Iterator[Utterance]:
    """The best-fitting recordings as utterances with phone times."""
    found: list[tuple[float, Utterance]] = []
    for prompt in prompts:
        states, power = chain(prompt.words), mel_power(prompt.samples)
        scale = LEVEL * float(np.square(0.7 / max(float(np.abs(prompt.samples).max()), 1e-4)))
        rows = relative(torch.log(torch.from_numpy(power) * scale + LOG_FLOOR)[None])
        if len(power) < len(states.names):
            continue
        with torch.no_grad():
            scores = functional.log_softmax(aligner(rows)[0], 1).numpy()
        path, fit = viterbi(np.maximum(scores, -9), states)
        made = utterance(prompt.samples, RATE_HZ, parts_of(path, states), prompt.voice)
        if np.isfinite(fit) and made is not None:
            found.append((fit, made))
    found.sort(key=lambda pair: -pair[0])
    yield from (made for _, made in found[: round(SURE * len(found))])


def align_all(
    rows: dataset.Rows, prompts: Sequence[Prompt], augment: Augment, steps: int = STEPS
) -> list[Utterance]:
    """Learn from synthesised rows, align, learn from both, align again."""
    torch.manual_seed(0)
    aligner = Aligner()
    train(aligner, rows, augment, 0, steps)
    first = [dataset.rows_of(u) for u in align(aligner, prompts)]
    train(aligner, dataset.join([rows, *first]), augment, 1, steps // 2)
    return list(align(aligner, prompts))
