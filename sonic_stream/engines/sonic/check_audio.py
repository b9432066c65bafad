"""Comparisons of the audio path with the reference's tensors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from sonic_stream.engines.sonic.audio import (
    PIECE,
    AudioBucket,
    AudioPath,
    AudioToken,
    WhisperEncoder,
)
from sonic_stream.engines.sonic.mel import LogMel
from sonic_stream.engines.sonic.parts import Parts, worst

Arrays = Mapping[str, Any]
Finding = tuple[str, float, float]
LIMIT = 1e-4
SHORT_SAMPLES = 160_000


def is_long(arrays: Arrays) -> bool:
    return len(arrays["pcm16"]) > SHORT_SAMPLES


def audio2token(arrays: Arrays, parts: Parts) -> Iterator[Finding]:
    net = parts.get("audio2token", full=True)
    x = torch.from_numpy(arrays["x"])
    yield "out", worst(net(x), arrays["out"]), LIMIT
    if "out_zero" in arrays:
        yield "out_zero", worst(net(torch.zeros_like(x[:1, :1])), arrays["out_zero"]), LIMIT


def audio2bucket(arrays: Arrays, parts: Parts) -> Iterator[Finding]:
    net = parts.get("audio2bucket", full=True)
    x, clip = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["clip"])
    made = net(x, clip[:, None].expand(*x.shape[:2], -1))
    yield "out", worst(made, arrays["out"]), LIMIT


def audio_path(arrays: Arrays, parts: Parts) -> Iterator[Finding]:
    """A recording through mel, encoder and heads; whatever of it the file holds is compared."""
    path = AudioPath(
        cast(WhisperEncoder, parts.get("whisper", full=True)),
        cast(AudioToken, parts.get("audio2token", full=True)),
        cast(AudioBucket, parts.get("audio2bucket", full=True)),
    )
    samples = torch.from_numpy(arrays["pcm16"]).float() / 32768
    yield from _mels(arrays, _all_mels(samples))
    states = path.states(samples)
    yield "audio_len", abs(len(states) / 2 - int(arrays["audio_len"])), 0.0
    for name, wanted in arrays.items():
        if (part := _hidden(name, states)) is not None:
            yield name, worst(part, wanted), LIMIT
    if "audio_tokens" in arrays:
        index = torch.from_numpy(arrays["token_index"])
        yield "audio_tokens", worst(path.tokens(states)[index], arrays["audio_tokens"]), LIMIT
        yield "uncond_token", worst(path.silence(), arrays["uncond_token"]), LIMIT
    if "motion_buckets" in arrays:
        made = path.buckets(states, torch.from_numpy(arrays["clip_embed"])[0])
        wanted = arrays["motion_buckets"].reshape(-1, 2)
        yield "motion_buckets", worst(made, wanted), 16 * LIMIT


def _all_mels(samples: Tensor) -> Tensor:
    """[80, 3000 * pieces]"""
    made = []
    for piece in samples.split(PIECE):
        log_power = LogMel().log_power(functional.pad(piece, (0, PIECE - len(piece))))
        made.append(LogMel.compress(log_power, log_power.max()))
    return torch.cat(made, dim=1)


def _mels(arrays: Arrays, mels: Tensor) -> Iterator[Finding]:
    for name, wanted in arrays.items():
        if name == "mel_head":
            yield name, worst(mels[:, : wanted.shape[1]], wanted), LIMIT
        elif name == "mel_tail_value":
            yield name, worst(mels[:, -1], wanted), LIMIT
        elif name == "mel_max":
            yield name, worst(mels.unflatten(1, (len(wanted), -1)).amax((0, 2)), wanted), LIMIT
        elif match := re.fullmatch(r"mel_(\d+)_(\d+)", name):
            yield name, worst(mels[:, int(match[1]) : int(match[2])], wanted), LIMIT


def _hidden(name: str, states: Tensor) -> Tensor | None:
    """The part of the states [n, 5, C] that a field of this name holds."""
    if name == "whisper_hidden":
        return states
    if name == "whisper_last":
        return states[:, -1]
    if match := re.fullmatch(r"hidden_last(\d+)", name):
        return states[-int(match[1]) :]
    if match := re.fullmatch(r"hidden_(\d+)_(\d+)", name):
        return states[int(match[1]) : int(match[2])]
    return None
