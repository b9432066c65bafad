"""Gather speech, align the recorded part, train, evaluate on held-out voices, write the weights.

    apt-get install espeak-ng flite festival festlex-cmu festlex-poslex festvox-kallpc16k \\
        festvox-kdlpc16k festvox-us-slt-hts asterisk-core-sounds-{en,es,fr,it,ru}{,-g722} \\
        asterisk-moh-opsound-g722
    pip install '.[train,train-voices]'
    python -m sonic_stream.training.train --out DIR

Writes DIR/lite.safetensors (also every thousand steps while it runs) and DIR/results.json. What is
not installed is left out, with a notice. One idle core: 10 minutes to gather and align, then 0.15 s
a step.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sonic_stream.engines.lite.network import CHANNEL, CHANNELS
from sonic_stream.training import (
    align,
    dataset,
    espeak,
    festvox,
    neural,
    noise,
    prompts,
    texts,
)
from sonic_stream.training.augment import Augment
from sonic_stream.training.evaluate import evaluate
from sonic_stream.training.model import TorchMotionNet, relative
from sonic_stream.training.phones import BREATH, SILENCE
from sonic_stream.training.synth import Plan, Utterance

Found = TypeVar("Found", Utterance, prompts.Prompt)
LOOK_AHEAD_ROWS = 8  # 80 ms at 100 Hz
CROP_ROWS = 240
NEAR_ROWS = 8  # 80 ms
UNSETTLED = 5  # outputs at a crop's start that have heard too little
WEIGHTS = {"aperture": 6.0, "close": 3.0, "jaw": 2.0, "tuck": 2.0, "jaw_loud": 2.0}
CHANNEL_WEIGHT = torch.tensor([WEIGHTS.get(name, 1.0) for name in CHANNELS])
EVENTS = [CHANNEL["close"], CHANNEL["tuck"], CHANNEL["speech"]]
EVENT_WEIGHT = torch.tensor([2.0, 2, 1])  # closures are short and rare: a miss counts double


@dataclass(frozen=True)
class Settings:
    steps: int = 7_500
    batch: int = 32
    learning_rate: float = 2.5e-3
    hidden: int = 192
    layers: int = 1
    shares: tuple[float, float, float] = (0.15, 0.4, 0.45)  # of `dataset.KINDS`
    seed: int = 0


@dataclass(frozen=True)
class Batch:
    """Features [B, T, 42], channels [B, T, 11] and classes [B, T] at 100 Hz."""

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


def gather(plan: Plan) -> tuple[dataset.Corpus, Tensor]:
    """The corpus and the noise bank [m, 80]; sources that are not installed are left out."""
    spoken: list[Utterance] = []
    with tempfile.TemporaryDirectory() as folder:
        sources: dict[str, Callable[[], Iterator[Utterance]]] = {
            "espeak-ng": lambda: espeak.utterances(plan),
            "flite": lambda: festvox.flite_utterances(plan, Path(folder)),
            "festival": lambda: festvox.festival_utterances(plan, Path(folder)),
            "neural voices": lambda: neural.utterances(plan),
        }
        for name, source in sources.items():
            spoken += _available(name, source)
    heard = [s for s in spoken if s.voice not in dataset.HELD_OUT]
    bank = torch.from_numpy(noise.bank(heard, plan.seed))
    recorded: list[prompts.Prompt] = []
    for language in prompts.SPEAKERS:
        recorded += _available(f"prompts {language}", partial(prompts.prompts, language))
    recorded = recorded[:: round(1 / plan.prompts)]
    if recorded:
        rows = dataset.join([dataset.rows_of(s) for s in heard])
        spoken += align.align_all(rows, recorded, Augment(bank), plan.align_steps)
    return dataset.build(spoken, plan.seed), bank


def _available(name: str, source: Callable[[], Iterator[Found]]) -> list[Found]:
    try:
        found = list(source())
    except (ImportError, OSError) as error:
        print(f"{name}: left out ({error})", flush=True)
        return []
    print(f"{name}: {len(found)} utterances", flush=True)
    return found


def fit(corpus: dataset.Corpus, noises: Tensor, settings: Settings, out: Path) -> TorchMotionNet:
    """Trains; leaves a checkpoint in `out` every 1000 steps."""
    torch.manual_seed(settings.seed)
    chance = np.random.default_rng(settings.seed)
    net = TorchMotionNet(hidden=settings.hidden, layers=settings.layers)
    optimiser = torch.optim.AdamW(net.parameters(), settings.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: _rate(s, settings.steps))
    picker = dataset.crops(corpus.train, CROP_ROWS, settings.shares)
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
    heard = augment(torch.from_numpy(crops.log_mel))
    classes = torch.from_numpy(crops.classes)
    audible = torch.where(classes == BREATH, audibility(heard.share), 1.0) * heard.speaks[:, None]
    wanted = torch.from_numpy(crops.channels) * audible[..., None]
    return Batch(relative(heard.log_mel), wanted, torch.where(audible > 0.5, classes, SILENCE))


def audibility(share: Tensor) -> Tensor:
    """How far a breath that makes up this share of what is heard [B, T] may open the mouth, 0..1:
    one that cannot be heard may not, or every silence would count as a possible breath. The lips
    are apart from a little before it is heard until a little after."""
    clear = ((share - 0.2) / 0.3).clamp(0, 1)
    return functional.max_pool1d(clear, 2 * NEAR_ROWS + 1, 1, NEAR_ROWS)


def _rate(step: int, steps: int) -> float:
    """A hundred steps of warm-up, then a cosine to one per cent."""
    return min(1.0, (step + 1) / 100) * (0.5 * (1 + math.cos(math.pi * step / steps)) + 0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full corpus")
    parser.add_argument("--seed", type=int, default=Settings.seed)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    corpus, noises = gather(
        Plan(seed=options.seed + 1, words=texts.dictionary()).scaled(options.scale)
    )
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
