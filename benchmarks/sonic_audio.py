"""How far the diffusion engine's live audio tokens are from the offline ones.

    python -m benchmarks.sonic_audio [--sound FILE] [--weights DIR] [--json FILE]

Offline, whisper's encoder hears a whole 30 s piece, both ways. Live it hears a rolling context and
a little look-ahead. Each frame's tokens (and the encoder states that they are made of) are compared
at the same instant, for contexts and look-aheads around the live policy:

- `whole`: with those of the whole recording, as offline;
- `begun`: with those of the recording begun where the live context begins. The encoder adds the
  place in its piece to all that it hears, so tokens change with where a recording begins; this
  takes that away, and what is left is the future, the padding and the mel floor.

Distances are relative: 0 is the same, 1 as far as the mean of all frames is, 1.41 as far as some
other frame. Without `--sound`, 22 s of espeak-ng; without `--weights`, weights by rule: those show
what changes, but only the trained encoder knows how much it cares.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avatar_server.sources.speech import EspeakSpeech
from benchmarks.report import Figures, report
from sonic_stream.engines.sonic.audio import (
    BUCKET_WINDOW,
    TOKEN_WINDOW,
    AudioPath,
    scale_buckets,
)
from sonic_stream.engines.sonic.live_audio import (
    CONTEXT_S,
    LOOK_AHEAD_SAMPLES,
    TAIL_S,
    TOKEN_SAMPLES,
    LiveAudio,
    LiveAudioState,
)
from sonic_stream.engines.sonic.mel import RATE_HZ, WINDOW
from sonic_stream.engines.sonic.model import audio_path
from sonic_stream.recording import read_sound
from sonic_stream.resample import Decimator

CONTEXTS_S = (1.5, 2.0, 4.0, 8.0)
TAILS_S = (0.0, 6.0, 26.0)  # silence after the sound; the last fills the piece, as offline
LOOK_AHEADS_MS = (0, 80, 160, 320)  # beyond the frame's end; 40 ms more from its beginning
MS = RATE_HZ // 1000
EVERY = 61  # tokens from one compared frame to the next: all phases of a frame come up
TEXT = (
    "The rain in Spain stays mainly in the plain, but the people who live there may well disagree. "
    "Please call Stella, and ask her to bring these things with her from the store: six spoons of "
    "fresh snow peas, five thick slabs of blue cheese, and maybe a snack for her brother Bob. "
    "We also need a small plastic snake and a big toy frog for the kids. Why? Because we do! "
)


async def spoken() -> Tensor:
    """TEXT at 16 kHz."""
    speech = EspeakSpeech()
    try:
        pieces = [piece async for piece in speech.synthesize(TEXT, None)]
    finally:
        await speech.close()
    return torch.from_numpy(Decimator().push(np.concatenate(pieces)))


@dataclass(frozen=True)
class Heard:
    """What frames are given: states [n, 10, 5, C], tokens [n, 32, X], buckets [n, 2]."""

    states: Tensor
    tokens: Tensor
    buckets: Tensor

    def distances(self, other: Heard) -> dict[str, float]:
        pairs = ((self.states, other.states), (self.tokens, other.tokens))
        state, token = (relative(mine, theirs) for mine, theirs in pairs)
        bucket = (self.buckets - other.buckets).abs().mean()
        return {"states": state, "tokens": token, "buckets_abs": float(bucket)}


def relative(values: Tensor, wanted: Tensor) -> float:
    """Root of the mean square distance of [n, ...] over that from the mean of all frames."""
    spread = (wanted - wanted.mean(0)).square().mean()
    return float(((values - wanted).square().mean() / spread).sqrt())


class Listener:
    """Frames at given ends (in tokens of 20 ms) of one recording."""

    def __init__(self, path: AudioPath, samples: Tensor, ends: list[int]) -> None:
        self._path, self._samples, self._ends = path, samples, ends
        width = path.bucket.proj1.in_features - BUCKET_WINDOW * path.whisper.conv1.out_channels
        self._clip = torch.randn(width, generator=torch.Generator().manual_seed(0))

    def offline(self, context_s: float | None = None) -> Heard:
        """Of the whole recording, or of it begun so long before each frame's end."""
        whole = self._path.states(self._samples)
        found = []
        for end in self._ends:
            states, last = whole, end
            if context_s is not None:
                begin = max(end - round(context_s * RATE_HZ) // TOKEN_SAMPLES, 0)
                states = self._path.states(self._samples[begin * TOKEN_SAMPLES :])
                last = end - begin
            # The bucket looks half a second ahead.
            second = max(last + BUCKET_WINDOW // 2 - LOOK_AHEAD_SAMPLES // TOKEN_SAMPLES, 50)
            found.append((states[:last], states[:second]))
        return self._heard(found)

    def live(self, context_s: float, look_ahead_ms: int, tail_s: float = TAIL_S) -> Heard:
        hearing = LiveAudio(self._path, 1, 12.5, context_s, tail_s)
        more = (look_ahead_ms * MS - LOOK_AHEAD_SAMPLES) // TOKEN_SAMPLES
        found = []
        for end in self._ends:
            heard = self._samples[: (end + more) * TOKEN_SAMPLES]
            # What is not known yet is silence; what is known beyond the window is heard with it.
            heard = functional.pad(heard, (0, max(-more, 0) * TOKEN_SAMPLES))
            length = round(context_s * RATE_HZ) // TOKEN_SAMPLES * TOKEN_SAMPLES + WINDOW // 2
            rolling = functional.pad(heard, (max(length - len(heard), 0), 0))[-length:]
            states = hearing._encode(LiveAudioState(rolling), 0.0)
            known = states[: len(states) - max(more, 0)]
            found.append((known, states))
        return self._heard(found)

    def _heard(self, states: list[tuple[Tensor, Tensor]]) -> Heard:
        windows = torch.stack([own[-TOKEN_WINDOW:] for own, _ in states])
        seconds = torch.stack([whole[-BUCKET_WINDOW:, -1:] for _, whole in states])
        buckets = self._path.bucket(seconds, self._clip.expand(len(states), -1))
        return Heard(windows, self._path.token(windows), scale_buckets(buckets))


@torch.inference_mode()
def measure(options: argparse.Namespace) -> Figures:
    samples = (
        torch.from_numpy(read_sound(options.sound, RATE_HZ))
        if options.sound
        else asyncio.run(spoken())
    )
    path = audio_path(options.weights or "random")
    last = min(len(samples), 29 * RATE_HZ) // TOKEN_SAMPLES - BUCKET_WINDOW
    listener = Listener(path, samples, list(range(4 * BUCKET_WINDOW, last, EVERY)))
    whole = listener.offline()
    out: Figures = {"seconds": len(samples) / RATE_HZ, "frames": len(whole.tokens)}

    def row(name: str, heard: Heard, wanted: Heard) -> None:
        for what, value in heard.distances(wanted).items():
            out[f"{name}, {what}"] = value

    shuffled = torch.randperm(len(whole.tokens), generator=torch.Generator().manual_seed(0))
    other = Heard(whole.states[shuffled], whole.tokens[shuffled], whole.buckets[shuffled])
    row("another frame", other, whole)
    row("offline, begun elsewhere", listener.offline(CONTEXT_S), whole)
    for context_s in CONTEXTS_S:
        heard = listener.live(context_s, LOOK_AHEAD_SAMPLES // MS)
        row(f"context {context_s:g} s, whole", heard, whole)
        row(f"context {context_s:g} s, begun", heard, listener.offline(context_s))
    begun = listener.offline(CONTEXT_S)
    for tail_s in TAILS_S:
        row(f"tail {tail_s:g} s, begun", listener.live(CONTEXT_S, 80, tail_s), begun)
    for look_ahead_ms in LOOK_AHEADS_MS:
        row(f"look-ahead {look_ahead_ms} ms, begun", listener.live(CONTEXT_S, look_ahead_ms), begun)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sound", type=Path, help="speech, up to 30 s of it")
    parser.add_argument("--weights", default="", help="a folder with the real ones")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    report("Live audio features of the sonic engine", measure(options), options.json)


if __name__ == "__main__":
    main()
