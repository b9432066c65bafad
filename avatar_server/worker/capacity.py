"""How many streams a worker process hosts: as many as leave it time to spare."""

from __future__ import annotations

from time import thread_time

import numpy as np

from avatar_server.worker.encoders import open_encoder
from avatar_server.worker.stacking import rungs
from sonic_stream.engine import Engine, StreamOptions
from sonic_stream.media import AudioChunk, FloatArray, IdentityLatents

# Of a core, when each session is watched with and without its background: the rest is for openings,
# key frames and further codecs.
SHARE = 0.9
CODECS = ("vp8", "vp8+alpha")
MOST = 4  # what a crash takes with it, and what the last one waits for the others
PICTURES, UNSETTLED = 7, 2


def places(picture_ms: float, period_ms: float) -> int:
    """PURE. Streams of a process whose pictures cost so much each and come so often."""
    return max(1, min(MOST, int(SHARE * period_ms / picture_ms)))


def measured_places(engine: Engine, identity: IdentityLatents) -> int:
    """By the time that this machine takes to draw and encode a talking face."""
    return places(picture_ms(engine, identity), 1000 / float(engine.spec.fps))


def picture_ms(engine: Engine, identity: IdentityLatents) -> float:
    """Processor time of a picture: the lower quartile of some, for a machine that happens to be
    busy with something else is not a slower one."""
    spec = engine.spec
    stream = engine.open(identity, StreamOptions(alpha=True))
    encoders = {codec: open_encoder(codec, spec.size_px, spec.fps, 1_500_000) for codec in CODECS}
    hop = spec.hop_frames * spec.samples_per_frame
    samples = babble(spec.latency_samples + PICTURES * hop, spec.sample_rate_hz)
    costs = []
    for start in range(0, len(samples) - hop + 1, hop):
        started_s = thread_time()
        chunk = AudioChunk(samples[start : start + hop], spec.sample_rate_hz, start)
        for made in stream.push(chunk):
            for index, picture in enumerate(made.frames):
                for codec, rung in rungs(picture, made.backdrop, CODECS).items():
                    encoders[codec].encode(rung, made.pts + index, keyframe=False)
            costs.append(1000 * (thread_time() - started_s) / len(made.frames))
    return float(np.percentile(costs[UNSETTLED:], 25))


def babble(count: int, rate_hz: int) -> FloatArray:
    """Something like a voice, so that the mouth moves: open vowels, four syllables a second."""
    t = np.arange(count) / rate_hz
    tones = [np.sin(2 * np.pi * hz * t) / (1 + abs(hz - 700) / 300) for hz in range(125, 3001, 125)]
    return np.asarray(0.1 * np.sum(tones, axis=0) * np.sin(np.pi * 4 * t) ** 2, np.float32)
