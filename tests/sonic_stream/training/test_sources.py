"""Where speech comes from: symbols of the neural voices, prompts' texts, an ONNX file's edit."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("scipy")

from sonic_stream.training import neural, prompts
from sonic_stream.training.phones import CLASSES


def test_symbols_become_phones_without_gaps() -> None:
    symbols = [".", "ˈ", "A", "p", "ː", " ", "a", " ", "m", ".", "."]
    lengths_s = np.array([0.1, 0.02, 0.1, 0.05, 0.03, 0.02, 0.1, 0.2, 0.06, 0.1, 0.05])
    parts = neural.segments(symbols, lengths_s)
    names = [CLASSES[p.phone] for p in parts]
    assert names == ["sil", "ey", "ih", "PP", "aa", "sil", "PP", "sil", "sil"]
    assert [p.end_s for p in parts[:-1]] == pytest.approx([p.start_s for p in parts[1:]])
    assert parts[1].start_s == pytest.approx(0.1)  # the stress mark's time goes to its vowel
    assert parts[3].end_s - parts[3].start_s == pytest.approx(0.1)  # a length mark, a short space
    assert parts[-1].end_s == pytest.approx(float(lengths_s.sum()))


def test_an_output_is_added_to_a_model() -> None:
    graph = b"\x0a\x03abc" + bytes([12 << 3 | 2, 3]) + b"\x0a\x01y"
    model = b"\x08\x07" + bytes([7 << 3 | 2, len(graph)]) + graph + b"\x42\x02\x10\x11"
    added = bytes([12 << 3 | 2, 7]) + b"\x0a\x05inner"
    expected = b"\x08\x07" + bytes([7 << 3 | 2, len(graph) + 9]) + graph + added
    assert neural.with_output(model, "inner") == expected + b"\x42\x02\x10\x11"


def test_prompts_with_remarks_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "DOCS", tmp_path)
    folder = tmp_path / "asterisk-core-sounds-en"
    folder.mkdir()
    text = "; a comment: no\n\nbeep: [a tone]\nhello: Hello: you.\nempty:\n"
    (folder / "core-sounds-en.txt.gz").write_bytes(gzip.compress(text.encode("utf-8-sig")))
    assert list(prompts.texts("en")) == [("hello", "Hello: you.")]
    with pytest.raises(FileNotFoundError):
        list(prompts.texts("fr"))
