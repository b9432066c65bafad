"""piper's process: the package (GPL-3) is loaded here, apart from the server.

Arguments: the voices' files; all are loaded before the first text. Input: {"text", "voice" (a
file), "length_scale"}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from avatar_server.sources.speech.voice_process import Say, Send, serve

VOLUME = 0.6  # piper brings every sentence's peak to it


def load() -> Say:
    from piper import SynthesisConfig

    voices = {path: _voice(Path(path)) for path in sys.argv[1:]}
    for voice in voices.values():  # its first sentence takes longer than the others
        list(voice.synthesize("Yes."))

    def say(request: dict[str, Any], send: Send) -> None:
        config = SynthesisConfig(length_scale=request["length_scale"], volume=VOLUME)
        for chunk in voices[request["voice"]].synthesize(request["text"], config):
            send(chunk.sample_rate, chunk.audio_int16_bytes, ())

    return say


def _voice(path: Path) -> Any:
    """`PiperVoice.load`, on one thread: by several the same is done in twice the processor time,
    which the pictures need."""
    from onnxruntime import InferenceSession, SessionOptions
    from piper import PiperConfig, PiperVoice

    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    config = json.loads(Path(f"{path}.json").read_text("utf-8"))
    return PiperVoice(session=session, config=PiperConfig.from_dict(config))


if __name__ == "__main__":
    serve(load)
