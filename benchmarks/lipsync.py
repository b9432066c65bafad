"""How well the embedded engine's mouth follows real mouths.

    python -m benchmarks.lipsync --clips DIR --json FILE [--out DIR]

DIR holds `series/<clip>.npz` (16 kHz speech `audio`, and per video frame `t` and the lip
`aperture` measured on the real face) and `av_offset.json` (per clip its `group`, and by how many
ms its picture is out of sync). Sound goes through the very stream the engine uses; its lip
aperture, said to be that of each 40 ms frame's middle, is compared with the measured one.

- `*_r0`: Pearson correlation at lag 0, 100 Hz; the mean over the group's clips
- `core_closed_f1`: frames with the mouth closed (own 15th percentile) within speech, at lag 0
- `lag_ms_median`: lag of the best correlation within 400 ms, over the core clips; > 0 is late
- `silence_open`, `noise_open`, `burst_open` (loud, after silence), `music_open`: mean aperture
  there, as a share of that in speech
- `vowels_open`: mean aperture within vowels held for a second (`benchmarks.vowels`), as a share
  of that in speech; `flutter`: rms of the aperture above 6 Hz there, as a share of its mean there
- `rms_*`: the same of the loudness envelope, what a mouth without phonetics would do
- `mel_*`: the same of a linear regression from the spectrum, fitted here and now on the other
  speakers' clips (`benchmarks.melridge`)
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from benchmarks.melridge import Example, leave_one_out
from benchmarks.report import Figures, report
from benchmarks.vowels import LENGTH_S, PAUSE_S, held_vowels
from sonic_stream.engines.lite.network import (
    FRAME_SAMPLES,
    LOOK_AHEAD_SAMPLES,
    AudioToMotion,
    MotionNet,
    aperture,
)
from sonic_stream.media import FloatArray

Series = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Predict = Callable[[FloatArray], tuple[Series, Series]]  # sound -> times in s, aperture

RATE_HZ = 16_000
GRID_HZ = 100
MAX_LAG_S = 0.4
CLOSED_PERCENTILE = 15
NON_SPEECH_S = 10
GROUPS = ("core", "grid")
FLUTTER_HZ = 6
EDGE_S = 0.25  # of a vowel


@dataclass(frozen=True)
class Clip(Example):
    """`times_s` are corrected by the clip's own offset: 0 is the first audio sample."""

    group: str


@dataclass(frozen=True)
class Score:
    r0: float
    lag_ms: float
    closed_f1: float


def load_clips(folder: Path) -> Iterator[Clip]:
    """Raises `FileNotFoundError` when the folder holds no clips."""
    offsets = json.loads((folder / "av_offset.json").read_text())
    for name, offset in sorted(offsets.items()):
        path = folder / "series" / f"{name}.npz"
        if offset["group"] not in GROUPS or not path.exists():
            continue
        with np.load(path, allow_pickle=False) as data:
            audio, times_s, measured = data["audio"], data["t"], data["aperture"].astype(float)
        if audio.dtype == np.int16:
            audio = audio.astype(np.float32) / 32768
        seen = np.isfinite(measured)
        measured = np.interp(np.arange(len(measured)), np.flatnonzero(seen), measured[seen])
        shift_s = offset["offset_ms"] / 1000
        yield Clip(name, audio, times_s.astype(float) - shift_s, measured, offset["group"])


def network_predictor(net: MotionNet) -> Predict:
    def predict(audio: FloatArray) -> tuple[Series, Series]:
        """The frames wholly inside the sound; silence stands in for its look-ahead."""
        heard = np.concatenate([audio, np.zeros(LOOK_AHEAD_SAMPLES, np.float32)])
        opening = aperture(AudioToMotion(net).push(heard)).astype(float)
        middle = (np.arange(len(opening)) + 0.5) * FRAME_SAMPLES / RATE_HZ
        return middle, opening

    return predict


def envelope(audio: FloatArray) -> tuple[Series, Series]:
    """Loudness (rms of 25 ms, smoothed by 40 ms) every 10 ms."""
    power = np.convolve(audio.astype(float) ** 2, np.ones(400) / 400, "same")[:: RATE_HZ // GRID_HZ]
    loudness = np.asarray(gaussian_filter1d(np.sqrt(power), 4), float)
    return np.arange(len(loudness)) / GRID_HZ, loudness


def speech_mask(audio: FloatArray, times_s: Series) -> Mask:
    """Where there is speech energy within 150 ms [n]."""
    power = np.convolve(audio.astype(float) ** 2, np.ones(400) / 400, "same")[:: RATE_HZ // GRID_HZ]
    level_db = 10 * np.log10(power + 1e-10)
    threshold = max(np.percentile(level_db, 95) - 28, np.percentile(level_db, 5) + 6)
    near = np.convolve((level_db > threshold).astype(float), np.ones(31), "same") > 0
    return np.interp(times_s, np.arange(len(near)) / GRID_HZ, near.astype(float)) > 0.5


def correlation(a: Series, b: Series) -> float:
    """Pearson's; 0 where either is constant."""
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 1e-12 else 0.0


def best_lag_ms(measured: Series, predicted: Series) -> float:
    """The lag of the highest correlation, refined by a parabola; > 0: the prediction is late."""
    reach = int(MAX_LAG_S * GRID_HZ)
    size = len(measured)

    def at(lag: int) -> float:
        late, early = max(0, lag), max(0, -lag)
        return correlation(predicted[late : size - early], measured[early : size - late])

    curve = np.array([at(lag) for lag in range(-reach, reach + 1)])
    top = int(np.argmax(curve))
    bend = 0.0
    if 0 < top < 2 * reach:
        left, middle, right = curve[top - 1 : top + 2]
        curvature = left - 2 * middle + right
        bend = 0.5 * (left - right) / curvature if curvature < -1e-12 else 0.0
    return float((top - reach + np.clip(bend, -1, 1)) * 1000 / GRID_HZ)


def closed(opening: Series) -> Mask:
    if np.std(opening) < 1e-12:
        return np.zeros(len(opening), bool)
    return np.asarray(opening <= np.percentile(opening, CLOSED_PERCENTILE) + 1e-9, bool)


def f1(said: Mask, true: Mask) -> float:
    return 2 * float((said & true).sum()) / max(1, int(said.sum() + true.sum()))


def compare(clip: Clip, times_s: Series, predicted: Series) -> Score:
    """Both on one 100 Hz grid where they overlap; closures on every 4th point (25 Hz)."""
    first, last = max(clip.times_s[0], times_s[0]), min(clip.times_s[-1], times_s[-1])
    grid = np.arange(np.ceil(first * GRID_HZ) / GRID_HZ, last, 1 / GRID_HZ)
    true = np.asarray(PchipInterpolator(clip.times_s, clip.measured)(grid), float)
    said = np.asarray(PchipInterpolator(times_s, predicted)(grid), float)
    speech = speech_mask(clip.audio, grid)[::4]
    overlap = f1(closed(said)[::4][speech], closed(true)[::4][speech])
    return Score(correlation(said, true), best_lag_ms(true, said), overlap)


def non_speech() -> dict[str, FloatArray]:
    """Ten seconds each, the same on every run."""
    chance = np.random.default_rng(7)
    length = NON_SPEECH_S * RATE_HZ
    spectrum = np.fft.rfft(chance.standard_normal(length))
    pink = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), length)
    time_s = np.arange(length) / RATE_HZ
    tune = np.zeros(length)
    for start_s in np.arange(0, NON_SPEECH_S, 0.5):  # a chord every half second, decaying
        since = np.maximum(time_s - start_s, 0)
        sounding = (time_s >= start_s) * np.exp(-since * 2.5)
        for half_tones in chance.choice(30, 3, replace=False):
            pitch_hz = 110 * 2 ** (half_tones / 12)
            tune += sounding * sum(np.sin(2 * np.pi * pitch_hz * h * since) / h for h in (1, 2, 3))
    return {
        "silence": np.zeros(length, np.float32),
        "noise": np.asarray(pink / pink.std() * 0.056, np.float32),
        "burst": np.asarray(pink / pink.std() * 0.2 * (time_s % 2 > 1.4), np.float32),
        "music": np.asarray(tune / np.abs(tune).max() * 0.5, np.float32),
    }


def held(predict: Predict) -> tuple[float, float]:
    """Mean opening within held vowels, away from their edges, and the rms of what is faster
    there than `FLUTTER_HZ`."""
    times_s, opening = predict(held_vowels())
    fast = opening - gaussian_filter1d(opening, 25 / (2 * np.pi * FLUTTER_HZ))
    since_s = times_s % (LENGTH_S + PAUSE_S) - PAUSE_S / 2
    inside = (since_s > EDGE_S) & (since_s < LENGTH_S - EDGE_S)
    return float(opening[inside].mean()), float(np.sqrt(np.mean(fast[inside] ** 2)))


def evaluate(clips: list[Clip], predict: Predict, out: Path | None) -> dict[str, Score]:
    scores = {}
    for clip in clips:
        times_s, opening = predict(clip.audio)
        scores[clip.name] = compare(clip, times_s, opening)
        if out is not None:
            np.savez(out / f"{clip.name}.npz", aperture=opening, times=times_s)
    return scores


def summary(clips: list[Clip], scores: dict[str, Score]) -> dict[str, float]:
    result = {}
    for group in GROUPS:
        members = [scores[clip.name] for clip in clips if clip.group == group]
        if members:
            result[f"{group}_r0"] = statistics.mean(s.r0 for s in members)
            result[f"{group}_closed_f1"] = statistics.mean(s.closed_f1 for s in members)
    judged = [scores[clip.name] for clip in clips if clip.group == "core"]
    result["lag_ms_median"] = statistics.median(s.lag_ms for s in judged or scores.values())
    return result


def openness(clips: list[Clip], predict: Predict) -> dict[str, float]:
    """Mean aperture outside speech as a share of that within the clips' speech."""
    within = []
    for clip in clips:
        times_s, opening = predict(clip.audio)
        within.append(opening[speech_mask(clip.audio, times_s)])
    spoken = float(np.concatenate(within).mean())
    vowels, fast = held(predict)
    return {"vowels_open": vowels / spoken, "flutter": fast / vowels} | {
        f"{name}_open": float(predict(sound)[1].mean()) / spoken
        for name, sound in non_speech().items()
    }


def cost_ms(net: MotionNet) -> float:
    """Time for 40 ms of sound, features and network, pushed frame by frame."""
    voice = AudioToMotion(net)
    sound = np.random.default_rng(1).standard_normal((300, FRAME_SAMPLES)).astype(np.float32)
    took = []
    for frame in sound:
        start_s = perf_counter()
        voice.push(frame * np.float32(0.1))
        took.append(1000 * (perf_counter() - start_s))
    return statistics.median(took)


def print_clips(clips: list[Clip], scores: dict[str, dict[str, Score]]) -> None:
    network, rms, mel = scores["network"], scores["rms"], scores["mel"]
    print(f"{'clip':28s} {'group':5s}     r0  lag ms  closed  rms r0  mel r0")
    for clip in clips:
        score = network[clip.name]
        print(
            f"{clip.name:28s} {clip.group:5s} {score.r0:6.3f} {score.lag_ms:7.0f} "
            f"{score.closed_f1:7.3f} {rms[clip.name].r0:7.3f} {mel[clip.name].r0:7.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Lip-sync against measured real mouths.")
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="write each clip's predicted aperture here")
    parser.add_argument("--weights", type=Path, help="other weights than the packaged ones")
    options = parser.parse_args()
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    net = MotionNet.load(options.weights) if options.weights else MotionNet.load()
    clips = list(load_clips(options.clips))
    if not clips:
        parser.error(f"no clips in {options.clips}")
    predict = network_predictor(net)
    regression = leave_one_out(clips)
    scores = {
        "network": evaluate(clips, predict, options.out),
        "rms": evaluate(clips, envelope, None),
        "mel": {clip.name: compare(clip, *regression[clip.name]) for clip in clips},
    }
    print_clips(clips, scores)
    result = summary(clips, scores["network"]) | openness(clips, predict)
    result["cost_ms"] = cost_ms(net)
    for baseline in ("rms", "mel"):
        result |= {f"{baseline}_{k}": v for k, v in summary(clips, scores[baseline]).items()}
    figures: Figures = dict(result)
    report("Lip-sync of the embedded engine on real mouths", figures, options.json)


if __name__ == "__main__":
    main()
