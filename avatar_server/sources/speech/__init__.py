"""Text spoken: the protocol of an engine, the engines, and speech as a source."""

from avatar_server.sources.speech.base import Manner, Piece, TextToSpeech, Voice, Word
from avatar_server.sources.speech.engines import load_speech
from avatar_server.sources.speech.espeak import EspeakSpeech
from avatar_server.sources.speech.source import SpeechSource

__all__ = [
    "EspeakSpeech",
    "Manner",
    "Piece",
    "SpeechSource",
    "TextToSpeech",
    "Voice",
    "Word",
    "load_speech",
]
