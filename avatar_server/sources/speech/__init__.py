"""Text spoken: the protocol of an engine, the embedded one, and speech as a source."""

from avatar_server.sources.speech.base import TextToSpeech, Voice
from avatar_server.sources.speech.espeak import EspeakSpeech
from avatar_server.sources.speech.source import SpeechSource

__all__ = ["EspeakSpeech", "SpeechSource", "TextToSpeech", "Voice"]
