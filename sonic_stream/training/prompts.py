"""Recorded prompts with published texts: Debian's asterisk-core-sounds, 16 kHz, five languages."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from sonic_stream.media import FloatArray
from sonic_stream.training.espeak import Espeak

SOUNDS, DOCS = Path("/usr/share/asterisk/sounds"), Path("/usr/share/doc")
RATE_HZ = 16_000
# Folder of the recordings and espeak-ng's voice for their words.
SPEAKERS = {
    "en": ("en_US_f_Allison", "en-us"),
    "es": ("es_MX_f_Allison", "es-419"),
    "fr": ("fr_CA_f_June", "fr"),
    "it": ("it_IT_m_Carlo", "it"),
    "ru": ("ru_RU_f_IvrvoiceRU", "ru"),
}
UNSPOKEN = "[(<"  # what follows is a remark, a tone or a pause


@dataclass(frozen=True)
class Prompt:
    """`samples` float32 [n] at 16 kHz; `words` in IPA; `voice` as `prompts:language`."""

    samples: FloatArray
    words: list[str]
    voice: str


def texts(language: str) -> Iterator[tuple[str, str]]:
    """Names and texts. Raises `FileNotFoundError` where the package is not installed."""
    path = DOCS / f"asterisk-core-sounds-{language}" / f"core-sounds-{language}.txt.gz"
    for line in gzip.decompress(path.read_bytes()).decode("utf-8-sig").splitlines():
        name, colon, text = line.partition(":")
        if colon and text.strip() and not name.startswith(";") and not set(UNSPOKEN) & set(text):
            yield name.strip(), text.strip()


def sound(path: Path) -> FloatArray:
    """G.722 [n] at 16 kHz."""
    with av.open(str(path), format="g722") as container:
        frames = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
    return np.concatenate(frames).astype(np.float32) / 32768 if frames else np.zeros(0, np.float32)


def prompts(language: str) -> Iterator[Prompt]:
    folder, voice = SPEAKERS[language]
    espeak = Espeak()
    for name, text in texts(language):
        path = SOUNDS / folder / f"{name}.g722"
        words = espeak.phonemes(text, voice).split()
        if path.exists() and words:
            yield Prompt(sound(path), words, f"prompts:{language}")
