"""Sound -> audio tokens and motion buckets: whisper-tiny's encoder states and two small heads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sonic_stream.engines.sonic.attention import join, split
from sonic_stream.engines.sonic.config import AUDIO_TOKENS, AudioConfig
from sonic_stream.engines.sonic.mel import BANDS, RATE_HZ, LogMel

PIECE = 30 * RATE_HZ  # what the encoder hears at once
PIECE_TOKENS = 1500
TICK = RATE_HZ // 25  # samples of one 25 fps tick, two encoder tokens
STATES = 5
# Windows of tokens [4 i - before, 4 i + after) of latent frame i; 50 tokens are a second.
TOKEN_BEFORE, TOKEN_AFTER = 4, 6
BUCKET_BEFORE, BUCKET_AFTER = 24, 26
TOKEN_WINDOW, BUCKET_WINDOW = TOKEN_BEFORE + TOKEN_AFTER, BUCKET_BEFORE + BUCKET_AFTER
TOKENS_PER_FRAME = 4
HEAD_BATCH = 256


class _EncoderAttention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.v_proj, self.out_proj = (nn.Linear(dim, dim) for _ in range(3))
        self.k_proj = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (split(f(x), self.heads) for f in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(join(functional.scaled_dot_product_attention(q, k, v)))


class _EncoderLayer(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.self_attn = _EncoderAttention(dim, heads)
        self.self_attn_layer_norm = nn.LayerNorm(dim)
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.final_layer_norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.self_attn_layer_norm(x))
        return x + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x))))


class WhisperEncoder(nn.Module):
    """Keys as in whisper-tiny's file after `model.encoder.`; runs on any context up to 30 s."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        dim = config.whisper
        self.conv1 = nn.Conv1d(BANDS, dim, 3, padding=1)
        self.conv2 = nn.Conv1d(dim, dim, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(PIECE_TOKENS, dim)
        self.layers = nn.ModuleList(
            [_EncoderLayer(dim, config.whisper_heads) for _ in range(config.whisper_layers)]
        )
        self.layer_norm = nn.LayerNorm(dim)

    def forward(self, mel: Tensor) -> Tensor:
        """Mel [B, 80, T] -> five states [B, T / 2, 5, C]: the input's, three layers', the last."""
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.embed_positions.weight[: x.shape[1]]
        states = [x]
        for layer in self.layers:
            x = layer(x)
            states.append(x)
        return torch.stack([*states[:-1], self.layer_norm(x)], dim=2)


class AudioToken(nn.Module):
    """Ten tokens of five states -> 32 tokens for the UNet."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        inputs = TOKEN_WINDOW * STATES * config.whisper
        self.proj1 = nn.Linear(inputs, config.hidden)
        self.proj2 = nn.Linear(config.hidden, config.hidden)
        self.proj3 = nn.Linear(config.hidden, AUDIO_TOKENS * config.token_dim)
        self.norm = nn.LayerNorm(config.token_dim)

    def forward(self, windows: Tensor) -> Tensor:
        """[..., 10, 5, C] -> [..., 32, X]"""
        x = functional.relu(self.proj1(windows.flatten(-3)))
        x = self.proj3(functional.relu(self.proj2(x)))
        return self.norm(x.unflatten(-1, (AUDIO_TOKENS, -1)))


class AudioBucket(nn.Module):
    """A second of the last state and the portrait's CLIP vector -> two motion buckets."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        inputs = BUCKET_WINDOW * config.whisper + config.clip_dim
        self.proj1 = nn.Linear(inputs, config.hidden)
        self.proj2 = nn.Linear(config.hidden, config.hidden)
        self.proj3 = nn.Linear(config.hidden, 2)

    def forward(self, windows: Tensor, clip: Tensor) -> Tensor:
        """[..., 50, 1, C] and [..., X] -> [..., 2, 1], before scaling."""
        x = torch.cat([windows.flatten(-3), clip], dim=-1)
        x = functional.silu(self.proj1(x))
        return self.proj3(functional.silu(self.proj2(x)))[..., None]


@dataclass
class AudioPath:
    """Offline: the whole recording, in upstream's 30 s pieces. All in float32."""

    whisper: WhisperEncoder
    token: AudioToken
    bucket: AudioBucket

    def states(self, samples: Tensor) -> Tensor:
        """Sound [n] at 16 kHz -> encoder states [2 * (n // 640), 5, C]."""
        mels = LogMel(samples.device)
        made = []
        for piece in samples.split(PIECE):
            padded = functional.pad(piece, (0, PIECE - len(piece)))
            log_power = mels.log_power(padded)
            made.append(self.whisper(mels.compress(log_power, log_power.max())[None])[0])
        empty = samples.new_zeros(0, STATES, self.whisper.layer_norm.normalized_shape[0])
        return torch.cat([empty, *made])[: 2 * (len(samples) // TICK)]

    def tokens(self, states: Tensor) -> Tensor:
        """States [2 L, 5, C] -> audio tokens [L // 2, 32, X]."""
        windows = _windows(states, TOKEN_BEFORE, TOKEN_AFTER)
        return torch.cat([self.token(part) for part in windows.split(HEAD_BATCH)])

    def buckets(self, states: Tensor, clip: Tensor) -> Tensor:
        """States [2 L, 5, C], CLIP embedding [X] -> motion buckets [L // 2, 2]."""
        windows = _windows(states[:, -1:], BUCKET_BEFORE, BUCKET_AFTER)
        parts = [
            self.bucket(part, clip.expand(len(part), -1)) for part in windows.split(HEAD_BATCH)
        ]
        return scale_buckets(torch.cat(parts))

    def silence(self) -> Tensor:
        """The tokens [32, X] of a window of zeros: the branch that hears nothing."""
        weight = self.token.proj1.weight
        zeros = weight.new_zeros(TOKEN_WINDOW, STATES, weight.shape[1] // (TOKEN_WINDOW * STATES))
        return self.token(zeros)


def scale_buckets(raw: Tensor) -> Tensor:
    """[..., 2, 1] -> [..., 2] on SVD's scale."""
    return raw[..., 0] * 16 + 16


def _windows(states: Tensor, before: int, after: int) -> Tensor:
    """[2 L, S, C] -> [L // 2, before + after, S, C], zeros beyond both ends."""
    padded = functional.pad(states, (0, 0, 0, 0, before, after))
    count = len(states) // TOKENS_PER_FRAME
    spread = padded.unfold(0, before + after, TOKENS_PER_FRAME)[:count]
    return spread.permute(0, 3, 1, 2)


def build_audio(config: AudioConfig) -> AudioPath:
    """Uninitialised, on the current default device."""
    return AudioPath(
        WhisperEncoder(config).eval(), AudioToken(config).eval(), AudioBucket(config).eval()
    )
