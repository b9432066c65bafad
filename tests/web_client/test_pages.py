"""The pages' pure parts, run by Node; their types, checked by TypeScript."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "web_client"
BIN = Path(sys.executable).parent  # where tools/install.sh puts Node.js
TYPESCRIPT = BIN.parent / "node" / "node_modules" / "typescript" / "bin" / "tsc"


def evaluate(expression: str) -> object:
    """The value of an async JavaScript expression that may import our modules."""
    script = f"""
        const at = (name) => import({json.dumps(PAGES.as_uri())} + "/lib/" + name);
        console.log(JSON.stringify(await ({expression})));
    """
    command = [str(BIN / "node"), "--input-type=module", "--no-warnings", "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_both_languages_have_every_word() -> None:
    words = evaluate("at('i18n.js').then((m) => m.WORDS)")
    assert isinstance(words, dict)
    assert words["en"].keys() == words["zh"].keys()
    assert all(words[language][key].strip() for language in words for key in words[language])


def test_every_word_that_a_page_names_exists() -> None:
    import re

    words = evaluate("at('i18n.js').then((m) => m.WORDS.en)")
    assert isinstance(words, dict)
    named = re.findall(
        r'data-i18n(?:-label|-placeholder)?="(\w+)"', (PAGES / "index.html").read_text()
    )
    named += re.findall(r"\bwords\.(\w+)", (PAGES / "studio.js").read_text())
    assert set(named) <= words.keys()


def test_reconnection_pauses_grow_and_are_bounded() -> None:
    pauses = evaluate("at('signalling.js').then((m) => [0, 1, 2, 5, 50].map(m.pauseMs))")
    assert pauses == [250, 500, 1000, 8000, 8000]


def test_turn_servers_are_given_as_the_browser_wants_them() -> None:
    servers = evaluate("at('rtc.js').then((m) => ['stun:a:1', 'turn:ann:pw@b:2'].map(m.iceServer))")
    assert servers == [
        {"urls": "stun:a:1"},
        {"urls": "turn:b:2", "username": "ann", "credential": "pw"},
    ]


def test_a_caption_stays_as_long_as_it_is_heard() -> None:
    left = evaluate(
        "at('captions.js').then((m) =>"
        " [0, 1000, 9000].map((ms) => m.leftMs({text: '', start_ms: 500, end_ms: 2500}, ms)))"
    )
    assert left == [2400, 1400, 0]


def test_an_offset_tells_its_direction() -> None:
    texts = evaluate(
        "at('view.js').then((m) => [-120, 0, 40].map((v) => "
        "m.valueText('lip_sync_offset_ms', v, { later: 'later', earlier: 'earlier' })))"
    )
    assert texts == ["120 ms earlier", "0 ms", "40 ms later"]


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    for page in PAGES.glob("*.html"):
        text = page.read_text("utf-8")
        assert "http" not in text.replace("http://www.w3.org", "")
        assert "style=" not in text
        assert "onclick" not in text


def test_the_types_hold() -> None:
    command = [
        str(BIN / "node"),
        str(TYPESCRIPT),
        "--project",
        str(ROOT / "tools" / "tsconfig.json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
