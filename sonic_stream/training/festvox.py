"""flite and festival as programs: recorded voices with timed ARPAbet phones."""

from __future__ import annotations

import random
import re
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sonic_stream.media import FloatArray
from sonic_stream.training import phones, texts
from sonic_stream.training.synth import Plan, Utterance, utterance

FLITE_VOICES = ("rms", "slt", "awb", "kal16")
# Name and share of the utterances; all three may be used freely (see the model card).
FESTIVAL_VOICES = {"kal_diphone": 1, "ked_diphone": 2, "cmu_us_slt_arctic_hts": 2}
FESTIVAL_TIMEOUT_S = 900


def read_wave(path: Path) -> tuple[FloatArray, int]:
    """16-bit mono sound [n] and its rate."""
    with wave.open(str(path)) as file:
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return data.astype(np.float32) / 32768, file.getframerate()


def from_ends(ends: list[tuple[float, str]]) -> list[phones.Segment]:
    """Both programs name each phone with the second at which it ends."""
    parts: list[phones.Segment] = []
    start_s = 0.0
    for end_s, phone in ends:
        parts += phones.segments(start_s, end_s, phones.arpabet(phone))
        start_s = end_s
    return parts


def flite_utterances(plan: Plan, folder: Path) -> Iterator[Utterance]:
    chance = random.Random(plan.seed + 1)
    path = folder / "flite.wav"
    for index in range(plan.flite):
        voice = FLITE_VOICES[index % len(FLITE_VOICES)]
        mean_hz = chance.uniform(85, 240) if voice == "slt" else chance.uniform(75, 190)
        settings = [
            f"duration_stretch={chance.uniform(0.8, 1.35):.2f}",
            f"int_f0_target_mean={mean_hz:.0f}",
            f"int_f0_target_stddev={chance.uniform(8, 40):.0f}",
        ]
        command = ["flite", "-voice", voice, "-psdur", "-o", str(path)]
        command += ["-t", texts.english(chance, plan.words)]
        for setting in settings if chance.random() < 0.7 else settings[:1]:
            command += ["--setf", setting]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        ends = [(float(end), name) for name, end in re.findall(r"(\S+):([\d.]+)", said)]
        made = utterance(*read_wave(path), from_ends(ends), f"flite:{voice}")
        if made is not None:
            yield made


def festival_utterances(plan: Plan, folder: Path) -> Iterator[Utterance]:
    chance = random.Random(plan.seed + 2)
    for voice, share in FESTIVAL_VOICES.items():
        count = plan.festival * share // sum(FESTIVAL_VOICES.values())
        script = folder / f"{voice}.scm"
        script.write_text(_scheme(voice, count, chance, plan), "latin-1")
        command = ["festival", "-b", script.name]  # one voice a process: phone sets clash
        subprocess.run(
            command, cwd=folder, capture_output=True, check=False, timeout=FESTIVAL_TIMEOUT_S
        )
        for index in range(count):
            label, sound = folder / f"{voice}{index}.lab", folder / f"{voice}{index}.wav"
            if not sound.exists():
                continue  # festival refuses some sentences
            lines = [line.split() for line in label.read_text("latin-1").splitlines()]
            ends = [(float(f[0]), f[2]) for f in lines if len(f) > 2]
            made = utterance(*read_wave(sound), from_ends(ends), f"festival:{voice}")
            if made is not None:
                yield made


def _scheme(voice: str, count: int, chance: random.Random, plan: Plan) -> str:
    lines = [f"(voice_{voice})"]
    for index in range(count):
        text = texts.english(chance, plan.words)
        stretch = chance.uniform(0.85, 1.3)
        save = f'(utt.save.segs u "{voice}{index}.lab")(utt.save.wave u "{voice}{index}.wav")'
        lines += [
            f"(Parameter.set 'Duration_Stretch {stretch:.2f})",
            f'(set! u (Utterance Text "{text}"))',
            f"(unwind-protect (begin (utt.synth u){save}) nil)",
        ]
    return "\n".join(lines) + "\n"
