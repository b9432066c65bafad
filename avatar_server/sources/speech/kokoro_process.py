"""kokoro's process: torch is loaded here, apart from the server's event loop.

Arguments: the voices' names; what they need is fetched and loaded before the first text. Input:
{"text", "voice", "speed"}.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from avatar_server.sources.speech.base import tokens
from avatar_server.sources.speech.voice_process import Say, Send, serve

KOKORO_HZ = 24_000


def load() -> Say:
    from kokoro import KPipeline

    voices = sys.argv[1:]
    pipelines = {name[0]: KPipeline(lang_code=name[0]) for name in voices}
    for name in voices:
        list(pipelines[name[0]]("Yes.", voice=name, speed=1))

    def say(request: dict[str, Any], send: Send) -> None:
        text, voice, made = request["text"], request["voice"], 0
        for result in pipelines[voice[0]](text, voice=voice, speed=request["speed"]):
            if result.audio is not None:
                samples = np.clip(np.asarray(result.audio, np.float32), -1, 1)
                words = list(placed(text, result.tokens or [], made))
                send(KOKORO_HZ, (samples * 32767).astype("<i2").tobytes(), words)
                made += len(samples)

    return say


def placed(text: str, told: Sequence[Any], offset: int) -> Iterator[tuple[int, int, int]]:
    """Those of the text's words whose beginning kokoro tells, in order, as events; what it tells
    in later parts is looked for in all of the text again."""
    found = tokens(text)
    for token in told:
        while found and token.text not in found[0][0]:
            found.pop(0)
        if found and token.start_ts is not None:
            match = found.pop(0)
            yield match.start(), len(match[0]), offset + int(token.start_ts * KOKORO_HZ)


if __name__ == "__main__":
    serve(load)
