"""Live denoising and live features, on the reduced model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sonic_stream.avatars import load_avatar
from sonic_stream.engine import StreamOptions, load_engine
from sonic_stream.engines.sonic import memory
from sonic_stream.engines.sonic.accelerate import Placement
from sonic_stream.engines.sonic.calls import abreast
from sonic_stream.engines.sonic.config import VAE_SCALE
from sonic_stream.engines.sonic.engine import SonicEngine
from sonic_stream.engines.sonic.guidance import Denoiser, Identity
from sonic_stream.engines.sonic.live import (
    Control,
    LiveDenoiser,
    LiveSettings,
    anchored,
    steadied,
    tone_of,
)
from sonic_stream.engines.sonic.live_audio import SPEECH_PEAK, LiveAudio
from sonic_stream.engines.sonic.mel import LogMel
from sonic_stream.engines.sonic.model import SonicModel
from sonic_stream.engines.sonic.offline import Voice
from sonic_stream.engines.sonic.picture import prepared_portrait
from sonic_stream.engines.sonic.unet import Conditions
from sonic_stream.media import AudioChunk


@pytest.fixture(scope="module")
def model() -> SonicModel:
    return SonicModel.load("random-reduced", Placement("cpu"))


@pytest.fixture(scope="module")
def identity(model: SonicModel) -> Identity:
    return model.identity(prepared_portrait(load_avatar("mira"), 64))


class CountingUNet:
    """The real network, counting frames by batch size."""

    def __init__(self, unet: object) -> None:
        self.unet, self.batches = unet, []

    def __call__(self, latents: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        self.batches.append(len(latents))
        return self.unet(latents, timestep, conditions)  # type: ignore[operator]


def voice_of(frames: int, seed: int = 0) -> Voice:
    generator = torch.Generator().manual_seed(seed)
    return Voice(torch.randn(frames, 32, 80, generator=generator), torch.full((frames, 2), 16.0))


def hops(
    unet: Denoiser,
    identity: Identity,
    plan: LiveSettings,
    count: int,
    control: Control | None = None,
) -> Tensor:
    denoiser, made = LiveDenoiser(plan, seed=0), []
    state = denoiser.init_state(identity, voice_of(plan.ahead))
    for seed in range(count):
        voice = voice_of(plan.hop, seed)
        asked = denoiser.hop(state, identity, voice, control or Control())
        ((clean, state),) = abreast(unet, [asked])
        made.append(clean)
    return torch.cat(made)


@pytest.mark.parametrize("refresh", [0, 1, 2, 4])
def test_guidance_costs_what_its_refresh_says(
    model: SonicModel, identity: Identity, refresh: int
) -> None:
    unet = CountingUNet(model.unet)
    plan = LiveSettings(steps=4, hop=1, context=1, overlap=0, refresh=refresh)
    hops(unet, identity, plan, 1)
    full = [1, 1, 1, 1] if refresh == 0 else [3 if i % refresh == 0 else 1 for i in range(4)]
    assert unet.batches == full


def test_branches_one_by_one_are_the_branches_together(
    model: SonicModel, identity: Identity
) -> None:
    plan = LiveSettings(steps=2, hop=2, context=1, overlap=1)
    together = hops(model.unet, identity, plan, 2)
    single = replace(plan, together=False)
    apart = hops(model.unet, identity, single, 2)
    assert torch.allclose(together, apart, atol=1e-3)


@pytest.mark.parametrize("mode", ["chunk", "staggered"])
def test_a_long_stream_keeps_the_portraits_colour(
    model: SonicModel, identity: Identity, mode: str
) -> None:
    plan = LiveSettings(mode=mode, steps=2, hop=2, context=2, overlap=0, anchor=0.5, refresh=0)
    made = hops(model.unet, identity, plan, 40)
    loose = replace(plan, anchor=0.0)
    free = hops(model.unet, identity, loose, 40)
    wanted = (identity.latents * VAE_SCALE).mean((-2, -1))

    def distance(latents: Tensor) -> float:
        return float((latents.mean((-2, -1)) - wanted).norm(dim=1).mean())

    assert torch.isfinite(made).all()
    assert distance(made[-20:]) < 0.6 * distance(free[-20:])
    assert distance(made[-20:]) < 1.3 * distance(made[20:40])  # the portrait itself comes first


@given(st.floats(0, 1))
@settings(deadline=None)
def test_the_anchor_moves_mean_and_spread_by_its_share(amount: float) -> None:
    generator = torch.Generator().manual_seed(0)
    latents = 3 + 2 * torch.randn(2, 4, 8, 8, generator=generator)
    portrait = torch.randn(4, 8, 8, generator=generator)
    out = anchored(latents, portrait, amount)
    mean, goal = latents.mean((-2, -1)), portrait.mean((-2, -1))
    assert torch.allclose(out.mean((-2, -1)), mean + amount * (goal - mean), atol=1e-4)
    ratio = (portrait.std((-2, -1)) / latents.std((-2, -1))) ** amount
    assert torch.allclose(out.std((-2, -1)), latents.std((-2, -1)) * ratio, rtol=1e-3)


@given(st.floats(0, 0.95))
@settings(deadline=None)
def test_a_flash_is_softened_by_its_share(share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    calm = torch.randn(1, 4, 8, 8, generator=generator)
    frames = torch.cat([calm, 2 * calm + 1, calm])
    steady, tone = steadied(frames, tone_of(calm[0]), share)
    assert torch.allclose(steady[0], calm[0], atol=1e-5)
    jump = tone_of(frames[1])[0] - tone_of(calm[0])[0]
    assert torch.allclose(
        tone_of(steady[1])[0] - tone_of(calm[0])[0], (1 - share) * jump, atol=1e-4
    )
    assert torch.allclose(tone, tone_of(steady[2]), atol=1e-4)


def test_frames_know_their_own_noise(model: SonicModel, identity: Identity) -> None:
    denoiser = LiveDenoiser(LiveSettings(kinship=0.5), seed=3)
    like = identity.latents
    assert torch.equal(denoiser._noise(5, 3, like)[1:], denoiser._noise(6, 2, like))
    many = denoiser._noise(0, 400, like)
    flat = many.flatten(1)
    assert float(flat.std()) == pytest.approx(1, abs=0.1)
    between = torch.corrcoef(flat[:50])
    assert float(between[0, 1:].mean()) == pytest.approx(0.5, abs=0.1)


def test_a_seam_is_no_larger_than_a_step(model: SonicModel, identity: Identity) -> None:
    plan = LiveSettings(steps=2, hop=3, context=3, overlap=2, refresh=0)
    made = hops(model.unet, identity, plan, 12)
    change = (made[1:] - made[:-1]).flatten(1).norm(dim=1)
    at_seams = change[plan.hop - 1 :: plan.hop]
    within = torch.stack([c for i, c in enumerate(change) if (i + 1) % plan.hop])
    assert float(at_seams.mean()) <= 1.1 * float(within.mean())


def sound(seconds: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(int(seconds * 16000), generator=generator)


def test_a_streams_mel_is_the_pieces() -> None:
    samples, mel = sound(1.0), LogMel()
    whole = mel.log_power(samples)
    windows = mel.log_power_of_windows(samples.unfold(0, 400, 160))
    # Column k is centred on sample 160 k; a window that starts at 160 j is centred 200 later.
    shifted = mel.log_power_of_windows(samples[120:].unfold(0, 400, 160))
    assert torch.allclose(whole[:, 2 : 2 + shifted.shape[1]], shifted, atol=1e-4)
    assert not torch.allclose(whole[:, 2:90], windows[:, :88], atol=1e-1)


def test_the_newest_sound_that_counts_is_the_look_aheads_last(
    model: SonicModel, identity: Identity
) -> None:
    """A click in the last 20 ms of the look-ahead changes the frame's tokens."""
    hearing = LiveAudio(model.audio, 1, 12.5)
    quiet = 0.1 * sound(0.16)
    click = quiet.clone()
    click[-320:] += 0.5
    made = [hearing.hear(hearing.init_state(), s, 1, identity.clip[0]) for s in (quiet, click)]
    assert float((made[0].tokens - made[1].tokens).abs().max()) > 0.05


def test_the_mel_floor_falls_slowly_and_never_below_speech(
    model: SonicModel, identity: Identity
) -> None:
    hearing = LiveAudio(model.audio, 1, 12.5)
    state = hearing.init_state()
    hearing.hear(state, 8 * sound(0.08), 1, identity.clip[0])
    loud = state.peak
    assert loud > SPEECH_PEAK
    for _ in range(80):
        hearing.hear(state, torch.zeros(1280), 1, identity.clip[0])
    assert SPEECH_PEAK <= state.peak < loud


def test_a_context_that_is_too_short_is_refused(model: SonicModel) -> None:
    with pytest.raises(ValueError, match="too short"):
        LiveAudio(model.audio, 4, 12.5, context_s=1.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mode": "magic"}, "chunk, staggered"),
        ({"steps": 0}, "steps lie in"),
        ({"overlap": 9}, "overlap must lie"),
        ({"anchor": 2.0}, "anchor lies"),
        ({"speed": 3}, "unknown setting"),
        ({"hears_s": 1.0}, r"hears_s lies from 1\.5"),
        ({"hears_s": 20.0, "tail_s": 12.0}, "with tail_s up to 30"),
        ({"size_px": 500}, "multiple of 64"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)
def test_wrong_settings_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SonicEngine(**wrong)  # type: ignore[arg-type]


def test_missing_weights_and_devices_are_told(tmp_path: object) -> None:
    with pytest.raises(ValueError, match=r"no weights.*weights fetch"):
        load_engine("sonic").warm_up()
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device"):
            load_engine("sonic", weights="random-reduced", device="cuda").warm_up()
    with pytest.raises(ValueError, match="precision is one of"):
        load_engine("sonic", weights="random-reduced", precision="int4").warm_up()


class ShortOfMemory:
    """Runs out once, then goes on."""

    def __init__(self, unet: object, times: int) -> None:
        self.unet, self.left = unet, times

    def __call__(self, *arguments: object) -> Tensor:
        if self.left:
            self.left -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.unet(*arguments)  # type: ignore[operator]


@pytest.mark.parametrize("times", [1, 2, 3, 4])
def test_running_out_of_memory_steps_down_and_the_stream_goes_on(
    model: SonicModel, times: int
) -> None:
    engine = SonicEngine(
        size_px=64, weights="random-reduced", device="cpu", steps=1, hop=1, context=1, overlap=0
    )
    engine._model = replace(model, unet=ShortOfMemory(model.unet, times))
    stream = engine.open(engine.prepare(load_avatar("mira")), StreamOptions())
    chunk = AudioChunk(np.zeros(engine.spec.latency_samples, np.float32), 16000, 0)
    if times < len(memory.LADDER):
        assert len(stream.push(chunk)[0].frames) == 2
        assert engine.economy == memory.LADDER[times]
    else:
        with pytest.raises(ValueError, match="out of GPU memory"):
            stream.push(chunk)


def test_a_card_that_is_full_from_the_start_is_told(model: SonicModel) -> None:
    def full(*_: object, **__: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    engine = SonicEngine(size_px=64, weights="random-reduced", device="cpu")
    engine._model = replace(model, clip=full)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"memory is full.*lite"):
        engine.warm_up()


@pytest.mark.parametrize(
    ("card_gib", "size_px", "streams", "name"),
    [
        (8, 256, 2, "full"),
        (8, 512, 1, "one guidance branch at a time"),
        (12, 512, 2, "full"),
        (16, 512, 4, "full"),
        (24, 768, 2, "full"),
    ],
)
def test_what_docs_say_fits_a_card(card_gib: int, size_px: int, streams: int, name: str) -> None:
    free_gib = 0.96 * card_gib - 0.3  # a display, a driver
    rung = memory.choose(free_gib, memory.Load(size_px, 9, streams))
    assert memory.LADDER[rung].name == name
    with pytest.raises(ValueError, match="needs about"):
        memory.choose(free_gib / 2, memory.Load(size_px, 9, streams, wide=True))


def test_the_ladder_needs_less_on_each_rung() -> None:
    load = memory.Load(512, window=9, streams=4)
    needs = [memory.needed_gib(load, economy) for economy in memory.LADDER]
    assert needs == sorted(set(needs), reverse=True)
    assert memory.choose(80, load) == 0
    for rung, need in enumerate(needs):
        assert memory.choose(need, load) == rung
    with pytest.raises(ValueError, match="smaller size_px"):
        memory.choose(3, load)
