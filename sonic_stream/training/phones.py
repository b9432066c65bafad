# ruff: noqa: SIM905 (word lists read better split from a string)
"""PURE. Phones to mouth targets: articulatory classes blended by dominance.

Every engine's phones map to 32 classes. A class pulls each channel towards a target with a
strength; neighbours overlap (Cohen & Massaro 1993), so a closure wins over a vowel at once
and rounding begins early. All values are written by hand from articulatory phonetics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sonic_stream.engines.lite.network import CHANNELS
from sonic_stream.media import FloatArray

RATE_HZ = 100
BLENDED = CHANNELS[:9]
OPENING = [BLENDED.index("jaw"), BLENDED.index("aperture")]
HEADROOM = 0.8  # the aperture of an open vowel at common effort: loud ones go beyond
WEAK = 0.12  # strength of a channel that a class does not speak of
# Columns: jaw, close, round, funnel, stretch, upper_raise, tuck, tongue, aperture; "-" leaves it
# open. An entry is target:strength. The aperture is the inner lips' distance, 1 in an open vowel:
# vowels by the lip heights that Fromkin (1964), Linker (1982) and Montgomery and Jackson (1983)
# measured (open over spread over rounded), consonants without a lip gesture hardly of their own
# (Keating et al. 1994: they follow the vowels around them). What shuts, tucks or rounds the lips
# is put on top of that, as a fast gesture upon a slow one (Öhman 1966). A pause keeps the lips
# apart for a moment (the posture between utterances, Gick et al. 2004), breathing in (`air`) opens
# them, and they part (`rdy`) a quarter of a second before the first sound (Palo et al.).
_TABLE = """
aa  1:.9    0:1     .05:.4  .15:.5  .1:.4   .35:.5  0:.8    -       1:.9
ae  .85:.9  0:1     0:.5    0:.5    .5:.6   .45:.5  0:.8    -       .95:.9
ah  .6:.7   0:1     .05:.3  .1:.3   .1:.3   .25:.4  0:.8    -       .7:.8
ax  .38:.35 0:1     .05:.15 .05:.2  .1:.2   .2:.3   0:.8    -       .42:.5
ao  .75:.8  0:1     .55:.8  .7:.8   0:.6    .2:.4   0:.8    -       .8:.8
ow  .5:.7   0:1     .75:.9  .6:.8   0:.7    .1:.4   0:.8    -       .55:.8
uw  .25:.6  .05:.9  1:1     .55:.8  0:.8    .05:.4  0:.8    -       .28:.9
uh  .35:.5  0:.9    .55:.7  .5:.6   0:.5    .1:.4   0:.8    -       .45:.7
y   .25:.6  .05:.9  .9:1    .5:.8   0:.6    .1:.4   0:.8    .3:.4   .28:.9
oe  .45:.7  0:.9    .65:.8  .6:.8   0:.6    .1:.4   0:.8    -       .55:.8
er  .38:.5  0:.9    .35:.5  .45:.6  0:.4    .2:.4   0:.8    .3:.5   .45:.6
eh  .6:.7   0:1     0:.5    0:.5    .5:.6   .4:.5   0:.8    -       .75:.8
ey  .45:.7  0:1     0:.6    0:.6    .7:.7   .35:.5  0:.8    -       .6:.8
ih  .35:.5  0:1     0:.4    0:.4    .45:.5  .3:.4   0:.8    -       .46:.7
iy  .25:.6  0:1     0:.8    0:.7    .85:.8  .3:.5   0:.8    .3:.4   .4:.8
ix  .28:.4  0:1     .05:.4  0:.4    .35:.4  .2:.4   0:.8    .2:.3   .36:.6
PP  .08:.6  1:3     0:.1    0:.3    0:.15   0:.8    0:.8    -       0:.15
FF  .15:.7  .15:1   0:.2    0:.3    .15:.25 .4:.9   1:3     -       .3:.3
TH  .22:.6  0:.8    0:.1    -       .2:.2   .25:.4  0:.8    .8:1.2  .36:.35
DD  .18:.5  0:.7    0:.08   -       .15:.15 .2:.25  0:.8    1:1.5   .36:.2
NN  .2:.45  0:.7    0:.08   -       .15:.12 .2:.2   0:.8    1:1.5   .36:.2
LL  .32:.45 0:.7    0:.08   -       .1:.12  .2:.2   0:.8    .9:1.2  .42:.25
SS  .08:1   0:.8    0:.15   -       .35:.35 .3:.4   0:.8    .75:1   .34:.6
SH  .12:.9  0:.8    .55:.8  .75:.9  0:.4    .3:.5   0:.8    .7:.9   .45:.7
RR  .25:.5  0:.7    .45:.5  .45:.6  0:.2    .2:.3   0:.8    .5:.7   .36:.5
rr  .25:.4  0:.7    0:.08   .05:.1  .1:.1   .2:.2   0:.8    .9:1    .36:.25
WW  .15:.6  .2:1    1:1.4   .5:.9   0:.8    0:.5    0:.8    -       .2:1.2
YY  .2:.5   0:.8    0:.25   -       .6:.5   .25:.3  0:.8    .5:.7   .36:.4
KK  .25:.35 0:.7    0:.06   -       .1:.1   .2:.2   0:.8    .3:.5   .4:.12
HH  .3:.15  0:.7    -       -       -       .15:.1  0:.8    -       .45:.08
XX  .3:.3   0:.7    -       -       .1:.1   .2:.15  0:.8    -       .4:.15
sil 0:.8    0:.6    0:.4    0:.5    0:.5    0:.6    0:1     0:.5    .25:.5
air .35:.5  0:.8    0:.3    0:.3    .1:.3   .25:.4  0:1     0:.3    .5:.9
rdy .15:.4  0:.6    0:.2    0:.3    0:.3    .1:.3   0:1     0:.3    .3:.6
"""


def _parse(table: str) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
    rows = [line.split() for line in table.strip().splitlines()]
    pairs = [[("0:" + str(WEAK) if e == "-" else e).split(":") for e in r[1:]] for r in rows]
    values = np.array(pairs, np.float32)  # [class, channel, (target, strength)]
    return tuple(r[0] for r in rows), values[..., 0], values[..., 1]


CLASSES, TARGETS, STRENGTHS = _parse(_TABLE)
CLASS_ID = {name: i for i, name in enumerate(CLASSES)}
VOWELS = frozenset(CLASSES[: CLASSES.index("PP")])
SILENCE, BREATH, READY, LABIAL = (CLASS_ID[name] for name in ("sil", "air", "rdy", "PP"))
# How fast a class lets go of a channel, 1/s: before its core (anticipation) and after it.
BEFORE = np.array([18, 34, 10, 12, 14, 18, 32, 26, 20], np.float32)
AFTER = np.array([20, 36, 15, 15, 16, 20, 34, 26, 22], np.float32)
EXPONENT = 1.3  # above 1: a plateau with steep sides
CORE = 0.15  # share of a phone at either end that already blends
SHUTS = {"close": 1.0, "tuck": 0.7, "round": 0.5}  # the share of the opening that each takes
PAUSE_HELD_S, PAUSE_SHUT_S = 0.15, 0.5  # after the last sound: posture kept, mouth shut
PARTED_S, READY_S = 0.28, 0.16  # before the first one: lips begin to part, posture reached
SHUT_EARLY_S = 0.08  # of this, a first p, b or m is already shut
LEAD_S = 0.015  # lips run ahead of the sound that they make
REACH_S = 0.45  # beyond this no dominance is left

_ARPABET = dict(
    pair.split("=")
    for pair in (
        "aa=aa ae=ae ah=ah ao=ao aw=aa+uh ax=ax axr=er ay=aa+ih b=PP ch=DD+SH d=DD dh=TH dx=DD "
        "eh=eh el=LL em=PP en=NN er=er ey=ey+ih f=FF g=KK h=HH hh=HH hv=HH ih=ih ix=ix iy=iy "
        "jh=DD+SH k=KK l=LL m=PP n=NN nx=NN ng=KK ow=ow+uh oy=ao+ih p=PP r=RR s=SS sh=SH t=DD "
        "th=TH uh=uh uw=uw v=FF w=WW y=YY z=SS zh=SH pau=sil ssil=sil brth=sil sil=sil"
    ).split()
)
_IPA = {
    symbol: name
    for name, symbols in (
        item.split("=")
        for item in (
            "aa=aɑ ah=ɐʌ ae=æ ax=əɘɤᵊ er=ɜɚɝɞ ao=ɒɔ ow=o oe=ɵøœɶ uw=uʉ uh=ʊ ix=ɯɨᵻ y=yʏ ey=e "
            "eh=ɛ iy=i ih=ɪ PP=pbmɓ FF=fvɱʋɸβ TH=θð DD=tdʈɖɾɗ NN=nɳɲ LL=lɫɭʎɬɮ SS=sz SH=ʃʒʂʐɕʑ "
            "YY=çjʝ rr=rɽ RR=ɹɻ XX=ʀʁɣxχ WW=wʍɥ KK=kgɡcɟqŋ HH=ħhɦʔʕ"
        ).split()
    )
    for symbol in symbols
}


@dataclass(frozen=True)
class Segment:
    """One articulatory class from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    phone: int


def arpabet(phone: str) -> list[str]:
    """Classes of one ARPAbet phone; an unknown one counts as a neutral vowel."""
    return _ARPABET.get(phone.lower().rstrip("012"), "ax").split("+")


def ipa(phone: str) -> list[str]:
    """Classes of one IPA string, marks and length signs left out; empty if nothing is known."""
    names: list[str] = []
    for name in (_IPA[symbol] for symbol in phone if symbol in _IPA):
        if names[-1:] != [name]:
            names.append(name)
    return names


def segments(start_s: float, end_s: float, names: list[str]) -> list[Segment]:
    """The classes of one phone share its time."""
    edges = np.linspace(start_s, end_s, len(names) + 1)
    return [
        Segment(float(a), float(b), CLASS_ID[name])
        for a, b, name in zip(edges, edges[1:], names, strict=False)
    ]


def blend(parts: list[Segment], rows: int, effort: FloatArray | None = None) -> FloatArray:
    """Targets [rows, 9] at 100 Hz; `effort` [len(parts)] scales each segment's jaw and aperture."""
    times = (np.arange(rows, dtype=np.float32) + 0.5) / RATE_HZ + LEAD_S
    total = np.zeros((rows, len(BLENDED)), np.float32)
    weight = np.full_like(total, 1e-4)
    for index, part in enumerate(parts):
        # Lips meet before the sound stops and part after the burst.
        inset = CORE * (part.end_s - part.start_s) * (part.phone != LABIAL)
        start, end = part.start_s + inset, part.end_s - inset
        span = slice(
            max(0, int((start - REACH_S) * RATE_HZ)), max(0, int((end + REACH_S) * RATE_HZ) + 1)
        )
        before = np.maximum(start - times[span], 0)[:, None]
        after = np.maximum(times[span] - end, 0)[:, None]
        fall = (BEFORE * before) ** EXPONENT + (AFTER * after) ** EXPONENT
        strength = STRENGTHS[part.phone] * np.exp(-fall)
        target = TARGETS[part.phone].copy()
        if effort is not None:
            target[OPENING] *= effort[index]
        total[span] += strength * target
        weight[span] += strength
    values = total / weight
    for name, share in SHUTS.items():
        values[:, BLENDED.index("aperture")] *= 1 - share * values[:, BLENDED.index(name)]
    return values


def class_rows(parts: list[Segment], rows: int) -> npt.NDArray[np.int64]:
    """The class heard at each 10 ms row [rows]; silence where none is."""
    classes = np.full(rows, SILENCE, np.int64)
    for part in parts:
        classes[max(0, int(part.start_s * RATE_HZ)) : max(0, int(part.end_s * RATE_HZ))] = (
            part.phone
        )
    return classes


def prepared(parts: list[Segment]) -> list[Segment]:
    """With the posture of somebody about to speak at the end of each pause."""
    result: list[Segment] = []
    for part, after in zip(parts, [*parts[1:], None], strict=True):
        if part.phone != SILENCE or after is None or after.phone in (SILENCE, BREATH):
            result.append(part)
            continue
        end_s = part.end_s - SHUT_EARLY_S * (after.phone == LABIAL)
        ready_s = max(part.start_s, part.end_s - PARTED_S)
        shut_s = max(ready_s, end_s)
        result += [Segment(part.start_s, ready_s, SILENCE), Segment(ready_s, shut_s, READY)]
        result += [Segment(shut_s, part.end_s, after.phone)] * (shut_s < part.end_s)
    return result


def presence(classes: npt.NDArray[np.int64]) -> FloatArray:
    """1 while somebody speaks or breathes in, falling to 0 in a pause, risen again just before the
    next sound."""
    spoken = np.flatnonzero((classes != SILENCE) & (classes != BREATH))
    breathes = (classes == BREATH).astype(np.float32)
    if not len(spoken):
        return breathes
    place = np.arange(len(classes))
    after = np.searchsorted(spoken, place, "right")
    since_s = (place - spoken[np.maximum(after - 1, 0)]) / RATE_HZ
    since_s = np.where(after == 0, np.inf, since_s)
    until_s = (spoken[np.minimum(after, len(spoken) - 1)] - place) / RATE_HZ
    until_s = np.where(after == len(spoken), np.inf, until_s)
    left = 1 - np.clip((since_s - PAUSE_HELD_S) / (PAUSE_SHUT_S - PAUSE_HELD_S), 0, 1)
    coming = 1 - np.clip((until_s - READY_S) / (PARTED_S - READY_S), 0, 1)
    return np.maximum.reduce([left, coming, breathes]).astype(np.float32)


def effort(samples: FloatArray, parts: list[Segment], rate_hz: int) -> FloatArray:
    """How far each segment opens the mouth, about 0.35..1.4 [len(parts)]: quiet and short vowels
    open less, stressed and loud ones more. Loudness is relative to the utterance's own vowels."""
    level_db = np.empty(len(parts), np.float32)
    for index, part in enumerate(parts):
        piece = samples[int(part.start_s * rate_hz) : int(part.end_s * rate_hz)]
        power = float(np.mean(piece**2)) if len(piece) else 0.0
        level_db[index] = 10 * np.log10(power + 1e-7)
    vowel = np.array([CLASSES[part.phone] in VOWELS for part in parts], bool)
    if not vowel.any():
        return np.ones(len(parts), np.float32)
    loud = np.clip(1 + 0.04 * (level_db - np.percentile(level_db[vowel], 70)), 0.45, 1.25)
    length_s = np.array([part.end_s - part.start_s for part in parts])
    scale = loud * np.clip(0.65 + 0.35 * length_s / 0.11, 0.7, 1.15)
    return np.asarray(np.where(vowel, scale, 1), np.float32)


def targets(
    samples: FloatArray, parts: list[Segment], rows: int, rate_hz: int
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """All channels [rows, 11] at 100 Hz and the classes [rows]."""
    classes = class_rows(parts, rows)
    parts = prepared(parts)
    plain = blend(parts, rows)
    loud = blend(parts, rows, effort(samples, parts, rate_hz)) * HEADROOM
    by_name = dict(zip(BLENDED, plain.T, strict=True))
    by_name["jaw_loud"], by_name["aperture"] = np.minimum(loud[:, OPENING].T, 1)
    by_name["speech"] = presence(classes)
    by_name["aperture"] = by_name["aperture"] * by_name["speech"]
    return np.stack([by_name[name] for name in CHANNELS], 1).astype(np.float32), classes
