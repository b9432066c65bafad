"""PURE. The audio-to-motion network, for inference in NumPy.

Two convolutions (100 Hz to 50 Hz), GRUs, a sigmoid a channel; trained by `sonic_stream.training`.
Small matrices need no framework: this starts at once and costs a fraction of a millisecond.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sonic_stream.engines.lite.features import ROW, Features
from sonic_stream.media import FloatArray

WEIGHTS = Path(__file__).parent / "weights" / "lite.safetensors"
CHANNELS = (
    "jaw", "close", "round", "funnel", "stretch", "upper_raise", "tuck", "tongue",
    "aperture", "jaw_loud", "speech",
)  # fmt: skip
CHANNEL = {name: i for i, name in enumerate(CHANNELS)}
LOOK_AHEAD_SAMPLES = 1280  # 80 ms at 16 kHz
FRAME_SAMPLES = 640
SETTLING_SAMPLES = 16000
OUTPUT_SAMPLES = 320  # one network output
KERNEL_1, KERNEL_2 = 4, 3
UNSURE, SURE = 0.4, 0.9  # speech: no mouth opens for what may be music, none half for words
TOUCH = 0.04  # an aperture that is none
CONTRAST, SPREAD = 1.2, 1.8  # of the aperture: openings are skewed, small ones are the rule
TENSORS = (
    "c1.weight", "c1.bias", "c2.weight", "c2.bias", "o.weight", "o.bias", "g.weight_ih_l0",
    "g.weight_hh_l0", "g.bias_ih_l0", "g.bias_hh_l0",
)  # fmt: skip


def aperture(channels: FloatArray) -> FloatArray:
    """How far the lips are apart, [..., 11] -> [...], 0 closed .. about 1 in a loud open vowel;
    nothing where there is no speech. A network that is not sure says a mean: what it thinks of a
    closure or of rounding is taken off once more, the range that it narrowed is widened, and lips
    that all but touch do touch."""
    gate = np.clip((channels[..., CHANNEL["speech"]] - UNSURE) / (SURE - UNSURE), 0, 1)
    shut, narrow = channels[..., CHANNEL["close"]], channels[..., CHANNEL["round"]]
    opening = channels[..., CHANNEL["aperture"]] * (1 - shut) * (1 - narrow) * gate
    return np.asarray(np.clip(SPREAD * opening**CONTRAST - TOUCH, 0, 1), np.float32)


@dataclass
class NetworkState:
    inputs: FloatArray  # the last rows of the first convolution's input
    middle: FloatArray  # and of the second's
    hidden: FloatArray  # [layers, size]

    def clone(self) -> NetworkState:
        return replace(self)  # its arrays are never written to


class MotionNet:
    """Weights, read-only; `step` advances a state by two feature rows (20 ms)."""

    def __init__(self, weights: dict[str, FloatArray]) -> None:
        """Raises `KeyError` naming the tensors that `weights` lacks."""
        if missing := [name for name in TENSORS if name not in weights]:
            raise KeyError(", ".join(missing))
        self._conv_1 = weights["c1.weight"].transpose(0, 2, 1).reshape(-1, KERNEL_1 * ROW)
        channels = len(self._conv_1)
        self._conv_2 = weights["c2.weight"].transpose(0, 2, 1).reshape(-1, KERNEL_2 * channels)
        self._w = weights
        self._channels = channels
        self._layers = sum(name.startswith("g.weight_hh_l") for name in weights)
        self._rest = self._settled()

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> MotionNet:
        """Raises `ValueError` when the file is missing or damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return cls(load_file(path))
        except (OSError, SafetensorError, KeyError) as error:
            raise ValueError(f"no usable weights in {path}: {error}") from error

    def init_state(self) -> NetworkState:
        """As after a long silence, so that a stream's first instant opens no mouth."""
        return self._rest.clone()

    def _settled(self) -> NetworkState:
        state = NetworkState(
            np.zeros((KERNEL_1 - 2, ROW), np.float32),
            np.zeros((KERNEL_2 - 1, self._channels), np.float32),
            np.zeros((self._layers, self._w["g.weight_hh_l0"].shape[1]), np.float32),
        )
        silence = Features().push(np.zeros(SETTLING_SAMPLES, np.float32))
        for start in range(0, len(silence) - 1, 2):
            self.step(state, silence[start : start + 2])
        return state

    def step(self, state: NetworkState, rows: FloatArray) -> FloatArray:
        """Feature rows [2, 42] -> channels [11], each 0..1; updates `state`."""
        w = self._w
        inputs = np.concatenate([state.inputs, rows])
        state.inputs = inputs[2:]
        first = np.maximum(self._conv_1 @ inputs.ravel() + w["c1.bias"], 0)
        middle = np.concatenate([state.middle, first[None]])
        state.middle = middle[1:]
        x = np.maximum(self._conv_2 @ middle.ravel() + w["c2.bias"], 0)
        hidden = state.hidden.copy()
        for layer in range(self._layers):
            x = hidden[layer] = self._gru(layer, x, hidden[layer])
        state.hidden = hidden
        return _sigmoid(w["o.weight"] @ x + w["o.bias"])

    def _gru(self, layer: int, x: FloatArray, hidden: FloatArray) -> FloatArray:
        w = self._w
        size = len(hidden)
        from_x = w[f"g.weight_ih_l{layer}"] @ x + w[f"g.bias_ih_l{layer}"]
        from_h = w[f"g.weight_hh_l{layer}"] @ hidden + w[f"g.bias_hh_l{layer}"]
        gates = _sigmoid(from_x[: 2 * size] + from_h[: 2 * size])
        reset, update = gates[:size], gates[size:]
        new = np.tanh(from_x[2 * size :] + reset * from_h[2 * size :])
        return np.asarray((1 - update) * new + update * hidden, np.float32)


class AudioToMotion:
    """Sound in, one vector of channels per frame out.

    After n samples the network has said k = n // 320 outputs; output j (from 0) describes the
    moment (j + 1) * 20 ms - 80 ms - 5 ms. Frame f, showing [40 f, 40 f + 40) ms, is the mean
    of outputs 2 f + 4 and 2 f + 5, centred 5 ms after the frame's middle, and is due when the
    audio up to its end plus 80 ms was heard: exactly the look-ahead declared.
    """

    def __init__(self, net: MotionNet) -> None:
        self._net = net
        self._features = Features()
        self.reset()

    def reset(self) -> None:
        self._features.reset()
        self._state = self._net.init_state()
        self._rows: FloatArray = np.zeros((0, ROW), np.float32)
        self._outputs: list[FloatArray] = []
        self._skip = LOOK_AHEAD_SAMPLES // OUTPUT_SAMPLES

    def hear(self, samples: FloatArray) -> None:
        """float32 [n] at 16 kHz; what it says about them is told by `speak`."""
        self._rows = np.concatenate([self._rows, self._features.push(samples)])

    def push(self, samples: FloatArray) -> FloatArray:
        """float32 [n] at 16 kHz -> [frames, 11]."""
        self.hear(samples)
        return self.speak()

    def speak(self) -> FloatArray:
        """The frames that became due, [frames, 11]."""
        while len(self._rows) >= 2:
            output = self._net.step(self._state, self._rows[:2])
            self._rows = self._rows[2:]
            if self._skip:
                self._skip -= 1
            else:
                self._outputs.append(output)
        count = len(self._outputs) // 2
        frames = [(self._outputs[2 * i] + self._outputs[2 * i + 1]) / 2 for i in range(count)]
        del self._outputs[: 2 * count]
        return np.stack(frames) if frames else np.zeros((0, len(CHANNELS)), np.float32)

    def clone(self) -> AudioToMotion:
        twin = copy.copy(self)
        twin._features, twin._state = self._features.clone(), self._state.clone()
        twin._outputs = self._outputs.copy()
        return twin


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x), np.float32)
