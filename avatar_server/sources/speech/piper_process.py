"""piper's process: the package (GPL-3) is loaded here, apart from the server.

Arguments: the voices' files; all are loaded before the first text. Input: {"text", "voice" (a
file), "length_scale"}.
"""

from __future__ import annotations

import sys
from typing import Any

from avatar_server.sources.speech.voice_process import Say, Send, serve

VOLUME = 0.6  # piper brings every sentence's peak to it


def load() -> Say:
    from piper import PiperVoice, SynthesisConfig

    voices = {path: PiperVoice.load(path) for path in sys.argv[1:]}
    for voice in voices.values():  # its first sentence takes longer than the others
        list(voice.synthesize("Yes."))

    def say(request: dict[str, Any], send: Send) -> None:
        config = SynthesisConfig(length_scale=request["length_scale"], volume=VOLUME)
        for chunk in voices[request["voice"]].synthesize(request["text"], config):
            send(chunk.sample_rate, chunk.audio_int16_bytes, ())

    return say


if __name__ == "__main__":
    serve(load)
