"""Which engine speaks: by a short name or an import string, with its own settings."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from avatar_server.errors import ConfigError
from avatar_server.sources.speech.base import TextToSpeech

HERE = "avatar_server.sources.speech"
NAMES = {
    "espeak": f"{HERE}.espeak:EspeakSpeech",
    "openai": f"{HERE}.openai:OpenAISpeech",
    "edge": f"{HERE}.edge:EdgeSpeech",
    "piper": f"{HERE}.piper:PiperSpeech",
    "kokoro": f"{HERE}.kokoro:KokoroSpeech",
}


def load_speech(name: str, settings: Mapping[str, object]) -> TextToSpeech:
    """An engine by short name or "package.module:Class", made with `settings` as keywords.
    Raises `ConfigError` when there is none of that name, or it does not take the settings."""
    path = NAMES.get(name, name)
    module, separator, attribute = path.partition(":")
    if not separator:
        raise ConfigError(
            f"speech.engine: {name!r} is none of {', '.join(NAMES)} nor package.module:Class"
        )
    try:
        factory = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"speech.engine: {path} cannot be loaded: {error}") from error
    try:
        engine: TextToSpeech = factory(**settings)
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f"speech.settings of {name}: {error}") from error
    return engine
