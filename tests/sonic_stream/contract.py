"""The contract that every engine passes (see `sonic_stream.engine`)."""

from __future__ import annotations

import numpy as np
import pytest

from sonic_stream.engine import Engine, Stream, StreamOptions
from sonic_stream.media import AudioChunk, FrameChunk, IdentityLatents

SECONDS = 1.2
SIZES = (1, 7, 160, 320, 333, 640, 2000)


def sound(engine: Engine, seed: int = 0) -> np.ndarray:
    """Bursts of noise with pauses: something to react to."""
    rate_hz = engine.spec.sample_rate_hz
    rng = np.random.default_rng(seed)
    time = np.arange(int(SECONDS * rate_hz)) / rate_hz
    return (0.3 * rng.standard_normal(len(time)) * (time % 0.6 > 0.3)).astype(np.float32)


def run(stream: Stream, samples: np.ndarray, sizes: list[int], start: int = 0) -> list[FrameChunk]:
    """Push in pieces of the given sizes, in turn, from sample `start` of the media time."""
    rate_hz, at, made, turn = 16000, 0, [], 0
    while at < len(samples):
        piece = samples[at : at + sizes[turn % len(sizes)]]
        made += stream.push(AudioChunk(piece, rate_hz, start + at))
        at, turn = at + len(piece), turn + 1
    return made


def pictures(chunks: list[FrameChunk]) -> np.ndarray:
    return np.concatenate([chunk.frames for chunk in chunks])


class EngineContract:
    """Needs the fixtures `engine`, `identity` and `stream` (a fresh one, seed 5)."""

    def fresh(self, engine: Engine, identity: IdentityLatents) -> Stream:
        return engine.open(identity, StreamOptions(seed=5))

    @pytest.mark.parametrize("seed", range(3))
    def test_any_chunking_gives_the_same_pictures(
        self, engine: Engine, identity: IdentityLatents, seed: int
    ) -> None:
        samples = sound(engine)
        whole = run(self.fresh(engine, identity), samples, [len(samples)])
        sizes = np.random.default_rng(seed).choice(SIZES, 20).tolist()
        pieces = run(self.fresh(engine, identity), samples, sizes)
        assert np.array_equal(pictures(whole), pictures(pieces))

    def test_the_future_beyond_the_look_ahead_changes_nothing(
        self, engine: Engine, identity: IdentityLatents
    ) -> None:
        spec, first = engine.spec, sound(engine)
        frames = 12
        second = first.copy()
        second[frames * spec.samples_per_frame + spec.look_ahead_samples :] = 0.5
        one = pictures(run(self.fresh(engine, identity), first, [640]))[:frames]
        two = pictures(run(self.fresh(engine, identity), second, [640]))[:frames]
        assert np.array_equal(one, two)

    def test_pts_have_no_gap_and_start_where_the_sound_does(
        self, engine: Engine, stream: Stream
    ) -> None:
        start = 50 * engine.spec.samples_per_frame
        chunks = run(stream, sound(engine), [333], start)
        expected = 50
        for chunk in chunks:
            assert chunk.pts == expected
            assert len(chunk.frames) == engine.spec.hop_frames
            expected = chunk.end_pts

    def test_the_declared_latency_is_true(self, engine: Engine, stream: Stream) -> None:
        spec, pushed, made = engine.spec, 0, 0
        hop_samples = spec.hop_frames * spec.samples_per_frame
        for sample_count in [spec.latency_samples - 1, 1, hop_samples - 1, 1]:
            chunk = AudioChunk(np.zeros(sample_count, np.float32), spec.sample_rate_hz, pushed)
            made += sum(len(c.frames) for c in stream.push(chunk))
            pushed += sample_count
            assert made == spec.frames_ready(pushed)
        assert made == 2 * spec.hop_frames

    def test_reset_equals_fresh(self, engine: Engine, stream: Stream) -> None:
        before = pictures(run(stream, sound(engine), [640]))
        stream.reset()
        assert np.array_equal(before, pictures(run(stream, sound(engine), [640])))

    def test_a_clone_goes_on_like_its_origin_and_apart_from_it(
        self, engine: Engine, stream: Stream
    ) -> None:
        samples = sound(engine)
        half = len(samples) // 2 // 640 * 640
        run(stream, samples[:half], [640])
        twin = stream.clone()
        rest = pictures(run(stream, samples[half:], [640], half))
        assert np.array_equal(rest, pictures(run(twin, samples[half:], [333], half)))

    def test_skipping_pictures_does_not_lose_the_place(
        self, engine: Engine, identity: IdentityLatents
    ) -> None:
        samples = sound(engine)
        drawn = pictures(run(self.fresh(engine, identity), samples, [640]))
        skipping, at = self.fresh(engine, identity), engine.spec.latency_samples
        assert skipping.push(AudioChunk(samples[:at], 16000, 0), render=False) == []
        rest = pictures(run(skipping, samples[at:], [640], at))
        assert np.array_equal(rest, drawn[-len(rest) :])

    def test_sound_that_was_taken_back_changes_nothing(
        self, engine: Engine, identity: IdentityLatents
    ) -> None:
        samples, heard = sound(engine), engine.spec.latency_samples
        outcomes = []
        for more in (0.0, 0.5):
            stream = self.fresh(engine, identity)
            run(stream, samples[:heard], [640])
            stream.push(AudioChunk(np.full(300, more, np.float32), 16000, heard))
            stream.silence_from(heard - 100 if more else heard + 300)  # the latter: nothing
            stream.silence_from(heard)
            rest = run(stream, samples[heard + 300 :], [333], heard + 300)
            assert rest[0].pts == engine.spec.hop_frames
            outcomes.append(pictures(rest))
        assert np.array_equal(*outcomes)

    def test_flush_shows_all_that_was_heard(self, engine: Engine, stream: Stream) -> None:
        spec = engine.spec
        heard = spec.hop_frames * spec.samples_per_frame + 360
        made = stream.push(AudioChunk(sound(engine)[:heard], 16000, 0)) + stream.flush()
        assert sum(len(chunk.frames) for chunk in made) == 2 * spec.hop_frames

    def test_gaps_and_wrong_rates_are_refused(self, engine: Engine, stream: Stream) -> None:
        with pytest.raises(ValueError, match="whole frame"):
            stream.push(AudioChunk(np.zeros(10, np.float32), 16000, 13))
        stream.push(AudioChunk(np.zeros(640, np.float32), 16000, 640))
        with pytest.raises(ValueError, match="continue at sample 1280"):
            stream.push(AudioChunk(np.zeros(10, np.float32), 16000, 1281))
        with pytest.raises(ValueError, match="16000 Hz"):
            stream.push(AudioChunk(np.zeros(10, np.float32), 48000, 1280))

    def test_an_identity_survives_the_disk(
        self, engine: Engine, identity: IdentityLatents, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = tmp_path_factory.mktemp("id") / "identity.safetensors"
        identity.save(path)
        loaded = IdentityLatents.load(path)
        assert loaded.fingerprint == identity.fingerprint
        samples = sound(engine)[: engine.spec.latency_samples + 2000]
        one = pictures(run(self.fresh(engine, identity), samples, [640]))
        two = pictures(run(self.fresh(engine, loaded), samples, [640]))
        assert np.array_equal(one, two)
