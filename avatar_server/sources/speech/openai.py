"""Any server that speaks OpenAI's `/v1/audio/speech`: raw PCM, streamed, one request a sentence."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from avatar_server.sources.base import SourceError
from avatar_server.sources.pcm import PcmFormat, Unpacker
from avatar_server.sources.speech.base import Manner, Piece, Voice
from avatar_server.sources.speech.choice import checked

RATE_HZ = 24_000  # of `response_format: pcm`, 16 bit
CONNECT_TIMEOUT_S, SILENCE_TIMEOUT_S = 5.0, 15.0
MAX_SENTENCE_S = 90.0
MAX_REASON = 200


class OpenAISpeech:
    """`key_env` names the environment variable that holds the key; it is sent to `base_url` only,
    and shown nowhere. Raises `ValueError` for settings that cannot work."""

    def __init__(
        self,
        base_url: str = "",
        model: str = "tts-1",
        voices: Sequence[str] = ("alloy",),
        key_env: str = "",
        language: str = "und",
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ValueError('base_url is an address like "http://127.0.0.1:8000/v1"')
        if not voices:
            raise ValueError("voices names at least one voice of that server")
        if key_env and key_env not in os.environ:
            raise ValueError(f"the environment has no {key_env} to take the key from")
        self._address = base_url.rstrip("/") + "/audio/speech"
        self._model = model
        self._voices = [Voice(name, name, language) for name in voices]
        self._key = os.environ.get(key_env, "") if key_env else ""
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(SILENCE_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        )

    def voices(self) -> list[Voice]:
        return self._voices

    def check(self, manner: Manner) -> None:
        checked(self._voices, manner)

    async def synthesize(self, sentence: str, manner: Manner) -> AsyncGenerator[Piece]:
        voice = checked(self._voices, manner).id
        unpacker, made = Unpacker(PcmFormat(RATE_HZ)), 0
        request = {
            "model": self._model,
            "input": sentence,
            "voice": voice,
            "response_format": "pcm",
            "speed": manner.rate,
        }
        async with self._answer(request) as answer:
            async for data in answer.aiter_bytes():
                samples = unpacker.push(data)
                made += len(samples)
                if made > MAX_SENTENCE_S * 48_000:
                    raise SourceError("the voice does not end its sentence", "no_voice")
                yield Piece(samples)
        yield Piece(unpacker.flush())
        if not made:
            raise SourceError("the voice answered without sound", "no_voice")

    async def warm_up(self) -> None:
        pass

    async def close(self) -> None:
        await self._client.aclose()

    @asynccontextmanager
    async def _answer(self, request: dict[str, Any]) -> AsyncGenerator[httpx.Response]:
        """The streamed answer, if it is one. Raises `SourceError` for all that goes wrong."""
        try:
            async with self._client.stream("POST", self._address, json=request) as answer:
                await self._judge(answer)
                yield answer
        except httpx.TimeoutException as error:
            raise SourceError("the voice's server took too long", "no_voice") from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            message = f"the voice's server cannot be used: {self._shown(error)}"
            raise SourceError(message, "no_voice") from error

    async def _judge(self, answer: httpx.Response) -> None:
        kind = answer.headers.get("content-type", "")
        if answer.status_code == 200 and not kind.startswith(("text/", "application/json")):
            return
        body = (await answer.aread()).decode("utf-8", errors="replace")
        reason = f"it answered {answer.status_code}: {self._shown(body)}"
        if answer.status_code in (401, 403):
            reason += " (is the key in speech.settings.key_env right?)"
        raise SourceError(f"the voice's server refuses; {reason}", "no_voice")

    def _shown(self, text: object) -> str:
        """What a server said, short, and never with the key that it may repeat."""
        line = " ".join(str(text).split())
        line = line.replace(self._key, "…") if self._key else line
        return line[:MAX_REASON] or "nothing"
