"""Synthesise, train, evaluate on held-out voices, write the weights.

    python -m sonic_stream.training.train --out DIR [--steps 20000]

Writes DIR/lite.safetensors (also every few minutes while it runs) and DIR/results.json.
One core: about 5 minutes of synthesis and 0.12 s a step.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sonic_stream.engines.lite.network import CHANNEL, CHANNELS
from sonic_stream.training import dataset, espeak, festvox, noise
from sonic_stream.training.augment import Augment
from sonic_stream.training.evaluate import evaluate
from sonic_stream.training.model import TorchMotionNet, relative
from sonic_stream.training.phones import SILENCE
from sonic_stream.training.synth import Plan

LOOK_AHEAD_ROWS = 8  # 80 ms at 100 Hz
CROP_ROWS = 240
UNSETTLED = 5  # outputs at a crop's start that have heard too little
CHANNEL_WEIGHT = torch.tensor([2.0, 3, 1, 1, 1, 1, 2, 1, 2, 1])
EVENTS = [CHANNEL["close"], CHANNEL["tuck"], CHANNEL["speech"]]
EVENT_WEIGHT = torch.tensor([2.0, 2, 1])  # closures are short and rare: a miss counts double


@dataclass(frozen=True)
class Settings:
    steps: int = 20_000
    batch: int = 32
    learning_rate: float = 2.5e-3
    hidden: int = 192
    espeak_share: float = 0.22
    seed: int = 0


@dataclass(frozen=True)
class Batch:
    """Features [B, T, 42], channels [B, T, 10] and classes [B, T] at 100 Hz."""

    rows: Tensor
    channels: Tensor
    classes: Tensor


def aligned(values: Tensor) -> Tensor:
    """Targets at 100 Hz [B, T, ...] -> what each 50 Hz output has to say [B, T / 2, ...]:
    output k has heard rows 0..2k+1 and describes row 2k + 1 - 8."""
    index = torch.arange(values.shape[1] // 2) * 2 + 1 - LOOK_AHEAD_ROWS
    return values[:, index.clamp(min=0)]


def loss_of(logits: Tensor, class_logits: Tensor, batch: Batch) -> Tensor:
    """Squared error, velocity error, events' cross-entropy, and phone classes as an aid."""
    logits, class_logits = logits[:, UNSETTLED:], class_logits[:, UNSETTLED:]
    channels = aligned(batch.channels)[:, UNSETTLED:]
    classes = aligned(batch.classes)[:, UNSETTLED:]
    said = torch.sigmoid(logits)
    place = (CHANNEL_WEIGHT * (said - channels) ** 2).mean()
    speed = (CHANNEL_WEIGHT * (said.diff(dim=1) - channels.diff(dim=1)) ** 2).mean()
    events = functional.binary_cross_entropy_with_logits(
        logits[..., EVENTS], channels[..., EVENTS].clamp(0, 1), pos_weight=EVENT_WEIGHT
    )
    phones = functional.cross_entropy(class_logits.flatten(0, 1), classes.flatten())
    return 10 * place + 20 * speed + 0.5 * events + 0.15 * phones


def synthesise(plan: Plan) -> tuple[dataset.Corpus, Tensor]:
    """The corpus and the noise bank [m, 80]."""
    with tempfile.TemporaryDirectory() as folder:
        spoken = list(
            chain(
                espeak.utterances(plan),
                festvox.flite_utterances(plan, Path(folder)),
                festvox.festival_utterances(plan, Path(folder)),
            )
        )
    corpus = dataset.build(spoken, plan.seed)
    heard = [s for s in spoken if s.voice not in dataset.HELD_OUT]
    return corpus, torch.from_numpy(noise.bank(heard, plan.seed))


def fit(corpus: dataset.Corpus, noises: Tensor, settings: Settings, out: Path) -> TorchMotionNet:
    """Trains; leaves a checkpoint in `out` every 1000 steps."""
    torch.manual_seed(settings.seed)
    chance = np.random.default_rng(settings.seed)
    net = TorchMotionNet(hidden=settings.hidden)
    optimiser = torch.optim.AdamW(net.parameters(), settings.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: _rate(s, settings.steps))
    picker = dataset.crops(corpus.train, CROP_ROWS, settings.espeak_share)
    augment = Augment(noises)
    for step in range(1, settings.steps + 1):
        starts = picker.pick(settings.batch, chance)
        batch = _prepare(augment, dataset.crop(corpus.train, starts, CROP_ROWS))
        logits, class_logits = net(batch.rows)
        loss = loss_of(logits, class_logits, batch)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 1000 == 0 or step == settings.steps:
            net.save(out / "lite.safetensors")
        if step % 100 == 0:
            print(f"step {step} loss {loss.item():.3f}", flush=True)
    return net


def _prepare(augment: Augment, crops: dataset.Crops) -> Batch:
    heard, speaks = augment(torch.from_numpy(crops.log_mel))
    wanted = torch.from_numpy(crops.channels) * speaks[:, None, None]
    names = torch.where(speaks[:, None], torch.from_numpy(crops.classes), SILENCE)
    return Batch(relative(heard), wanted, names)


def _rate(step: int, steps: int) -> float:
    """A hundred steps of warm-up, then a cosine to one per cent."""
    return min(1.0, (step + 1) / 100) * (0.5 * (1 + math.cos(math.pi * step / steps)) + 0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full corpus")
    parser.add_argument("--words", type=Path, help="English words, one a line (CMUdict's, say)")
    parser.add_argument("--seed", type=int, default=Settings.seed)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    words = options.words.read_text().split() if options.words else ()
    full = Plan()
    plan = Plan(
        espeak=round(full.espeak * options.scale),
        flite=round(full.flite * options.scale),
        festival=round(full.festival * options.scale),
        seed=options.seed + 1,
        words=words,
    )
    corpus, noises = synthesise(plan)
    print(f"{corpus.train.hours:.2f} h to train on", flush=True)
    settings = Settings(steps=options.steps, seed=options.seed)
    net = fit(corpus, noises, settings, options.out)
    scores = evaluate(net, corpus.held_out, LOOK_AHEAD_ROWS)
    report = {"settings": asdict(settings), "hours": corpus.train.hours, "held_out": scores}
    (options.out / "results.json").write_text(json.dumps(report, indent=2))
    for voice, score in scores.items():
        print(voice, " ".join(f"{name} {score[name]:.2f}" for name in (*CHANNELS, "close_f1")))


if __name__ == "__main__":
    main()
