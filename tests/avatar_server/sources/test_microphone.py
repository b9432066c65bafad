"""What a microphone goes through: mute, noise suppression, gate and gain; alone and together."""

from __future__ import annotations

import numpy as np
import pytest

from avatar_server.sources.denoise import DELAY_MS, HIGH_DELAY, Denoiser
from avatar_server.sources.gain import LIMIT, TARGET_RMS, AutoGain, Gate
from avatar_server.sources.microphone import MicrophonePath, MicrophoneSettings
from tests.avatar_server.sources.contract import RATE_HZ, babble, spoken

TICK = 960


class Recorded:
    """A microphone that hears a recording once."""

    def __init__(self, sound: np.ndarray) -> None:
        self.sound, self.at = sound, 0

    def read(self, n_samples: int) -> np.ndarray:
        out = np.zeros(n_samples, np.float32)
        piece = self.sound[self.at : self.at + n_samples]
        out[: len(piece)] = piece
        self.at += n_samples
        return out

    def stats(self) -> dict[str, float]:
        return {"level_ms": 0.0, "concealed": 0}


def through(sound: np.ndarray, **switches: bool) -> np.ndarray:
    path = MicrophonePath(Recorded(sound), MicrophoneSettings(**switches))
    return np.concatenate([path.read(TICK) for _ in range(len(sound) // TICK)])


def rms(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(sound))))


def test_with_everything_off_nothing_is_touched() -> None:
    sound = babble(1, 0.1)
    assert np.array_equal(through(sound), sound)


def test_mute_is_silent_and_does_not_click() -> None:
    sound = np.full(10 * TICK, 0.5, np.float32)
    path = MicrophonePath(Recorded(sound), MicrophoneSettings())
    out = [path.read(TICK) for _ in range(2)]
    path.configure(MicrophoneSettings(muted=True))
    out += [path.read(TICK) for _ in range(2)]
    path.configure(MicrophoneSettings())
    out += [path.read(TICK) for _ in range(2)]
    assert not out[3].any()
    assert (out[5] == 0.5).all()
    assert np.abs(np.diff(np.concatenate(out))).max() < 0.001


def test_the_gate_stays_shut_in_noise_that_was_suppressed() -> None:
    pytest.importorskip("webrtc_noise_gain", reason="noise suppression is not installed")
    out = through(babble(6, 0.05), gate=True, noise_suppression=True)
    assert np.mean(out == 0) > 0.95


async def test_the_gate_shuts_in_the_noise_between_words_and_keeps_the_words() -> None:
    speech = await spoken("It is a pleasure to meet you")
    lead = np.zeros(3 * RATE_HZ, np.float32)
    clean = np.concatenate([lead, speech, lead])
    out = through(clean + babble(len(clean) / RATE_HZ + 1, 0.01)[: len(clean)], gate=True)
    out = np.concatenate([out[Gate.DELAY :], np.zeros(Gate.DELAY, np.float32)])
    pause = out[2 * RATE_HZ : 3 * RATE_HZ - 4800]
    assert not pause.any(), "the mouth hears nothing in the noise"
    words = slice(3 * RATE_HZ, 3 * RATE_HZ + len(speech) - RATE_HZ // 2)
    assert rms(out[words] - clean[words]) < 0.02
    assert not out[-RATE_HZ:].any()


@pytest.mark.parametrize("level", [0.02, 0.1, 0.6])
async def test_the_gain_brings_a_voice_to_one_level_and_never_clips(level: float) -> None:
    speech = await spoken("It is a pleasure to meet you and to talk about the weather. " * 3)
    loud = np.abs(speech) > 0.01
    sound = np.clip(speech * level / rms(speech[loud]), -1, 1)
    out = through(sound, auto_gain=True)
    late = out[len(out) // 2 :]
    assert rms(late[np.abs(late) > 0.005]) == pytest.approx(TARGET_RMS, rel=0.4)
    assert np.abs(out).max() <= LIMIT


def test_the_gain_does_not_raise_noise() -> None:
    noise = babble(5, 0.003)
    assert rms(through(noise, auto_gain=True)) < 1.2 * rms(noise)


def test_the_gain_takes_silence_and_nothing() -> None:
    gain = AutoGain()
    assert not gain.push(np.zeros(960, np.float32), talking=True).any()
    assert len(gain.push(np.zeros(0, np.float32), talking=True)) == 0


# Noise suppression.


def denoised(sound: np.ndarray) -> np.ndarray:
    pytest.importorskip("webrtc_noise_gain", reason="noise suppression is not installed")
    denoiser = Denoiser()
    pieces = [denoiser.push(sound[i : i + TICK]) for i in range(0, len(sound), TICK)]
    assert all(len(piece) == TICK for piece in pieces[:-1])
    return np.concatenate(pieces)


def test_steady_noise_is_lowered_in_all_bands() -> None:
    noise = np.random.default_rng(0).normal(size=4 * RATE_HZ).astype(np.float32) * 0.03
    out = denoised(noise)
    before = np.abs(np.fft.rfft(noise[-RATE_HZ:])) ** 2
    after = np.abs(np.fft.rfft(out[-RATE_HZ:])) ** 2
    for low, high in [(100, 4000), (4000, 7500), (7500, 8500), (8500, 20_000)]:
        assert 10 * np.log10(after[low:high].sum() / before[low:high].sum()) < -12


async def test_a_voice_passes_with_its_treble_and_the_declared_delay() -> None:
    speech = await spoken("It is a pleasure to meet you, six sunny seasons.")
    treble = np.random.default_rng(1).normal(size=len(speech)) * np.abs(speech) * 0.3
    speech = np.asarray(speech + treble, np.float32)
    out = denoised(speech)
    assert DELAY_MS < 20
    spectrum = np.fft.rfft(out, 2 * len(out)) * np.conj(np.fft.rfft(speech, 2 * len(out)))
    assert np.argmax(np.fft.irfft(spectrum)) == HIGH_DELAY
    assert rms(out) == pytest.approx(rms(speech), rel=0.2)
    above = slice(9000 * len(out) // RATE_HZ, 16_000 * len(out) // RATE_HZ)
    energy = [np.square(np.abs(np.fft.rfft(x))[above]).sum() for x in (speech, out)]
    assert energy[1] > 0.5 * energy[0]


async def test_speech_in_noise_stands_out_more() -> None:
    speech = await spoken("It is a pleasure to meet you")
    lead = np.zeros(3 * RATE_HZ, np.float32)
    sound = np.concatenate([lead, speech])
    sound += np.random.default_rng(2).normal(size=len(sound)).astype(np.float32) * 0.02
    out = denoised(sound)
    pause, talk = slice(2 * RATE_HZ, 3 * RATE_HZ), slice(3 * RATE_HZ, 4 * RATE_HZ)
    gained = rms(out[talk]) / rms(out[pause]) / (rms(sound[talk]) / rms(sound[pause]))
    assert gained > 3
