"""The pages' pure parts, run by Node; their types, checked by TypeScript."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from sonic_stream.portrait.fitness import REASONS

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
    named: list[str] = []
    for page in PAGES.glob("*.html"):
        named += re.findall(r'data-i18n(?:-label|-placeholder)?="(\w+)"', page.read_text())
    for script in PAGES.rglob("*.js"):
        named += re.findall(r"\bwords\.(\w+)", script.read_text())
    keys = evaluate("at('hotkeys.js').then((m) => m.HOTKEYS.map(([, word]) => word))")
    assert isinstance(keys, list)
    assert set(named) | set(keys) <= words.keys()


def test_every_verdict_on_a_portrait_is_told_in_chinese_too() -> None:
    known = evaluate("at('reasons.js').then((m) => m.CHINESE)")
    assert isinstance(known, dict)
    assert known.keys() == REASONS.keys()
    asked = [asdict(REASONS["dark"]), {**asdict(REASONS["dark"]), "code": "newer"}]
    told = [
        evaluate(f"at('reasons.js').then((m) => m.inLanguage({json.dumps(asked)}, '{language}'))")
        for language in ("en", "zh")
    ]
    assert told == [
        asked,
        [{**asked[0], "message": "人脸偏暗。", "advice": "光线更亮效果更好。"}, asked[1]],
    ]


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


def test_keys_mean_something_unless_one_types() -> None:
    presses = [
        {"key": "m"}, {"key": "M", "focus": "BUTTON"}, {"key": " "}, {"key": "3"},
        {"key": "]", "repeat": True, "focus": "INPUT:range"}, {"key": "?"},
        {"key": "m", "focus": "INPUT:text"}, {"key": "Escape", "focus": "TEXTAREA"},
        {"key": "1", "focus": "INPUT:number"}, {"key": "r", "focus": "SELECT"},
        {"key": "r", "ctrlKey": True}, {"key": "r", "repeat": True}, {"key": "x"},
        {"key": " ", "focus": "BUTTON"}, {"key": "m", "focus": "EDITABLE"},
        {"key": "m", "focus": "INPUT:search"}, {"key": "m", "focus": "INPUT:password"},
    ]  # fmt: skip
    meanings = evaluate(f"at('hotkeys.js').then((m) => {json.dumps(presses)}.map(m.meaning))")
    assert meanings == [
        {"action": "mute"}, {"action": "mute"}, {"action": "mute"},
        {"action": "portrait", "value": 3}, {"action": "offset", "value": 10}, {"action": "help"},
        *[None] * 11,
    ]  # fmt: skip


def test_outputs_are_opened_under_free_names() -> None:
    command = evaluate(
        """at('outputs.js').then((m) => {
            const form = new FormData();
            form.set("kind", "whip");
            form.set("address", " https://sfu.example/whip ");
            form.set("token", "abc");
            return [m.openCommand(form, [{ id: "whip" }, { id: "whip 3" }]),
                    m.isRecording([{ id: "recording", state: "failed" }]),
                    m.isRecording([{ id: "recording", state: "live" }])];
        })"""
    )
    assert command == [
        {"type": "sink_open", "kind": "whip", "id": "whip 2",
         "url": "https://sfu.example/whip", "token": "abc"},
        False, True,
    ]  # fmt: skip


def test_the_meter_reads_what_the_testcard_shows() -> None:
    from sonic_stream.engines.testcard import pattern

    for number in (0, 1, 4711, 2**24 - 1):
        read = evaluate(
            f"""at('meter.js').then((m) => {{
                const bits = {pattern(number)};
                return m.readNumber((x0) => 255 * bits[Math.floor(x0 / 4)]);
            }})"""
        )
        assert read == number
    assert evaluate("at('meter.js').then((m) => m.readNumber(() => 200))") is None


def test_the_meter_knows_when_a_beep_begins_within_a_picture() -> None:
    """The beeps' own source is asked: the first sample of each, and the picture that shows it."""
    import numpy as np

    from avatar_server.sources.beeps import BeepSource

    loud = np.abs(BeepSource().read(48_000 * 20)) > 1e-3
    starts = [i for i in np.flatnonzero(loud) if not loud[max(i - 9600, 0) : i].any()]
    assert len(starts) == 13
    for start in starts:
        number = start // 1920
        phase = evaluate(f"at('meter.js').then((m) => m.phaseMs({number}))")
        assert phase == pytest.approx((start % 1920) / 48, abs=0.1)
    assert evaluate("at('meter.js').then((m) => [m.phaseMs(null), m.phaseMs(3)])") == [20, 20]
    assert evaluate("at('meter.js').then((m) => m.median([3, 1, 2, 10]))") == 2.5


def test_the_interface_page_reads_openapi() -> None:
    from avatar_server.app import create_app
    from avatar_server.config import Config

    app = create_app(Config())
    document = json.dumps(app.openapi())
    app.state.server.files.close()
    found = evaluate(
        f"""at('openapi.js').then((m) => {{
            const document = {document};
            const all = m.operations(document);
            const one = all.find((o) => o.path.endsWith("/commands"));
            return {{ all: all.length, one, curl: m.curl(one, "http://localhost:8080"),
                     bad: all.flatMap((o) => o.bodies)
                          .flatMap((b) => m.fieldsOf(b.schema, document))
                          .filter((f) => !f.type || f.type === "any") }};
        }})"""
    )
    assert isinstance(found, dict)
    assert found["all"] > 15
    titles = [body["title"] for body in found["one"]["bodies"]]
    assert '"type": "say"' in titles
    assert '"type": "sink_offset"' in titles
    assert found["one"]["secured"]
    assert "Bearer $TOKEN" in found["curl"]
    assert '{"type":"say","text":"Hello"}' in found["curl"]
    assert found["bad"] == []


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


def test_the_obs_address_is_read_leniently() -> None:
    def options(search: str) -> object:
        return evaluate(f"at('obs_options.js').then((m) => m.obsOptions({json.dumps(search)}))")

    plain = options("?session=abc")
    assert isinstance(plain, dict)
    assert plain | {"session": "abc", "alpha": True, "query": "kind=obs&alpha=true"} == plain
    assert plain | {"background": "transparent", "crop": [0, 0, 1, 1], "size": 0} == plain
    assert plain | {"latencyMs": None, "mute": False, "captions": False} == plain
    keyed = options(
        "?chroma=00ff00&crop=25,0,50,60&latency=120&mute&captions=1&profile=My%20OBS&offset=120"
    )
    assert isinstance(keyed, dict)
    assert keyed | {"background": "#00ff00", "hard": True, "latencyMs": 120} == keyed
    assert keyed | {"crop": [0.25, 0, 0.5, 0.6], "mute": True, "captions": True} == keyed
    assert keyed["query"] == "kind=obs&alpha=true&offset_ms=120&profile=My+OBS"
    strange = options("?alpha=0&chroma=red&crop=90,0,50,50&size=-4&latency=soon&captions=0")
    assert isinstance(strange, dict)
    assert strange | {"alpha": False, "hard": False, "background": "transparent"} == strange
    assert strange | {"crop": [0, 0, 1, 1], "size": 0, "latencyMs": None} == strange


def test_a_crop_fills_the_window_and_stands_in_its_middle() -> None:
    where = evaluate(
        "at('obs_options.js').then((m) => m.placed(m.obsOptions('?crop=25,0,50,50'), 400, 300))"
    )
    assert where == {"side": 600, "left": -100, "top": 0}


def test_the_fallbacks_alpha_is_the_readers() -> None:
    import numpy as np

    from avatar_server.worker.stacking import unstacked

    levels = np.arange(256, dtype=np.uint8)
    stack = np.zeros((32, 256, 3), np.uint8)
    stack[16:] = levels[:, None]
    ours = unstacked(stack)[8, :, 3].astype(int)
    theirs = evaluate(
        "at('cutout.js').then((m) => Array.from({ length: 256 }, (_, i) => m.alphaOf(i, false)))"
    )
    assert isinstance(theirs, list)
    assert np.abs(ours - np.array(theirs)).max() <= 1
