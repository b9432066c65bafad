# ruff: noqa: SIM905 (word lists read better split from a string)
"""PURE. Sentences to synthesise: templates, pseudo-words in several orthographies, Mandarin.

Meaning does not matter, the mix of sounds does: labials and rounded vowels are frequent.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CMUDICT = Path("/usr/share/festival/dicts/cmu/cmudict-0.4.out")
ADJECTIVES = (
    "big small brave purple warm bitter simple happy young public famous fresh blue smooth old "
    "pale clever yellow broken heavy wooden empty bright modern rapid humble vivid gentle wet "
    "thick foggy shy royal cheap huge rough foreign female favourite beautiful available"
).split()
NOUNS = (
    "boat baby puppy map picture window village farmer mother father brother river bottle paper "
    "butter bread pump umbrella piano number camera computer garden mountain market teacher "
    "doctor film family voice wave flower fish leaf knife ship shoe chair bridge judge garage "
    "measure treasure thumb feather weather youth yard king song ring spoon moon wolf world bird "
    "church north horse coffee problem member government company moment meeting people movie "
    "beam lamp room team shop jump"
).split()
VERBS = (
    "moved bought built brought pushed pulled painted filmed followed found left loved watched "
    "washed judged visited believed improved promised completed removed combined stopped pumped "
    "mapped copied shaped carried shared thanked threw used opened showed chose remembered "
    "mumbled wrapped clipped bumped"
).split()
PREPOSITIONS = (
    "beneath above before behind beside upon from with without over under through between near "
    "past around"
).split()
ADVERBS = (
    "slowly quickly maybe perhaps finally obviously probably only often always never simply "
    "warmly bravely properly"
).split()
STARTS = (
    "Well,|I mean,|Okay,|So,|But|And then|Maybe|Please remember,|By the way,|Of course,|"
    "To be honest,|You know,"
).split("|")
TEMPLATES = (
    "The {a} {n} {v} the {a} {n} {p} the {n}.",
    "{s} my {n} {d} {v} a {a} {n}.",
    "We {v} {n}s and {n}s {p} our {a} {n}.",
    "Would you put the {n} {p} the {a} {n}?",
    "{d}, both {n}s {v} me.",
    "I am going to bring {i} {a} {n}s to the {n} on Wednesday.",
    "It was about {i} o'clock when the {n} {v} my {n}.",
    "What if the {n} is {a} and the {n} is {a}?",
    "{s} please bring me the {n}, the {n}, and the {n}!",
    "My {n}'s {n} may be more {a} than yours.",
    "They {d} {v} {i} percent of the {n}s {p} the {n}.",
    "She {v} the {n}, he {v} the {n}, but you and I {v} nothing.",
    "{w} {w} {w} {w} {w}.",
    "{w} and {w}, {w} or {w}.",
    "Thank you very much for coming to the {n}; we will {d} be {p} the {n}.",
    "Some {w} people from {w} may {w}.",
)
HAN = (
    "我你他她们这那的是不在有了人来到大小中国学生老师朋友爸妈家里面包苹果飞机火车北京上海明天今早晚饭吃喝水茶"
    "咖啡买卖看书报电影话手机脑工作问题公司会议开始结束快慢高低多少白黑红绿蓝天气好坏冷热风雨雪山河花草树木猫狗马"
    "牛羊鱼鸟春夏秋冬帮助办法方便复杂普通平安漂亮跑步爬坡泡馒头毛笔名字门满忙母亲父房非常发现分别服务"
)
KANA = (
    "あいうえおかきくけこさしすせそたちつてとなにぬねのはひ"
    "ふへほまみむめもやゆよらりるれろわばびぶべぼぱぴぷぺぽ"
)


@dataclass(frozen=True)
class Syllables:
    """What a pseudo-word's syllables are put together from."""

    onsets: Sequence[str]
    vowels: Sequence[str]
    codas: Sequence[str]

    def word(self, chance: random.Random) -> str:
        parts = []
        for _ in range(chance.choice([1, 2, 2, 3])):
            coda = chance.choice(self.codas) if chance.random() < 0.35 else ""
            parts.append(chance.choice(self.onsets) + chance.choice(self.vowels) + coda)
        return "".join(parts)


_ONSETS = "b p m f v t d n l r s z k g h b p m m f v br pr pl tr st sp kr fl".split()
LATIN = Syllables(_ONSETS, "a e i o u a e i o u ai au ei io".split(), list("nrlsm"))
CYRILLIC = Syllables(list("бпмфвтднлрсзкгхбпмшчжщц"), list("аеиоуыяюёэаои"), list("нрлсмт"))
BY_LANGUAGE = {
    "de": Syllables(
        [*_ONSETS, "sch", "w", "z", "pf"],
        [*LATIN.vowels, "ü", "ö", "ä", "ie", "eu"],
        [*LATIN.codas, "ch", "t"],
    ),
    "fr": Syllables(
        [*_ONSETS, "ch", "j", "gu"],
        [*LATIN.vowels, "ou", "eu", "oi", "on", "an", "in", "é", "eau"],
        list("rlst"),
    ),
    "pl": Syllables([*_ONSETS, "cz", "sz", "ż", "w", "c"], [*LATIN.vowels, "y"], list("nrlsmk")),
    "tr": Syllables([*_ONSETS, "ç", "ş", "y"], [*LATIN.vowels, "ü", "ö", "ı"], list("nrlskm")),
    "ru": CYRILLIC,
    "en": LATIN,
}


def dictionary() -> list[str]:
    """The words of festival's CMUdict; none where it is not installed."""
    if not CMUDICT.exists():
        return []
    return re.findall(r'^\("([a-z]{3,})"', CMUDICT.read_text("latin-1"), re.MULTILINE)


def english(chance: random.Random, words: Sequence[str] = ()) -> str:
    """One sentence; `words` (a word list) widens the vocabulary beyond pseudo-words."""

    def word() -> str:
        return chance.choice(words) if words else LATIN.word(chance)

    slots: dict[str, Callable[[], str]] = {
        "a": lambda: chance.choice(ADJECTIVES),
        "n": lambda: chance.choice(NOUNS),
        "v": lambda: chance.choice(VERBS),
        "p": lambda: chance.choice(PREPOSITIONS),
        "d": lambda: chance.choice(ADVERBS),
        "s": lambda: chance.choice(STARTS),
        "i": lambda: str(chance.randint(1, 9999)),
        "w": word,
    }
    pieces = chance.choice(TEMPLATES).split("{")
    text = pieces[0] + "".join(slots[piece[0]]() + piece[2:] for piece in pieces[1:])
    return text[0].upper() + text[1:]


def mandarin(chance: random.Random) -> str:
    return _clauses(HAN, chance, ",", "。")


def _clauses(letters: str, chance: random.Random, comma: str, stop: str) -> str:
    clauses = ["".join(chance.choices(letters, k=chance.randint(4, 8))) for _ in range(3)]
    return comma.join(clauses) + stop


def sentence(language: str, chance: random.Random, words: Sequence[str] = ()) -> str:
    """A sentence in the orthography of an espeak-ng language code such as `en-us` or `cmn`."""
    base = language.split("-")[0]
    if base == "en":
        return english(chance, words)
    if base == "cmn":
        return mandarin(chance)
    if base == "ja":
        return _clauses(KANA, chance, "、", "。")
    syllables = BY_LANGUAGE.get(base, LATIN)
    return " ".join(syllables.word(chance) for _ in range(chance.randint(5, 9))) + "."
