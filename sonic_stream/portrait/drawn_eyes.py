"""PURE. Drawn eyes, far larger than a person's: the face mesh does not fit them, the picture does.

An eye is what is no skin: the closed curve around the mesh's eye, star-shaped, that leaves least
skin inside and least of all else outside. Inside of it lie lashes and lines, in them the white,
and in the white the largest round thing is the iris. The mesh's points move onto what was found.

Flat drawings often have no line around the white, and hair across it. Of them only the dark line
of the upper lid is found, and where skin begins below: as much as a lid needs to come down.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sonic_stream.engine import EyeKind
from sonic_stream.media import ByteArray, FloatArray
from sonic_stream.portrait.views import TINT, lab_of, level_view

EYES = {
    "right": ([33, 246, 161, 160, 159, 158, 157, 173, 133],
              [33, 7, 163, 144, 145, 153, 154, 155, 133], [468, 469, 470, 471, 472]),
    "left": ([362, 398, 384, 385, 386, 387, 388, 466, 263],
             [362, 382, 381, 380, 374, 373, 390, 249, 263], [473, 474, 475, 476, 477]),
}  # fmt: skip
BARE = [
    50, 280, 205, 425, 197, 195, 5, 9, 101, 330, 36, 266, 123, 352, 187, 411, 142, 371, 203, 423,
]  # fmt: skip
WIDE = 72  # pixels of the view for the width of the mesh's eye
VIEW = (252, 216)
REACH, RAYS = 104, 96
TALLER = 0.4  # of its radius: how far an iris may reach beyond its circle
# Of what is right below the mesh's eye no skin: then it may be a drawn one, and surely is one.
MAYBE, SURELY = 0.1, 0.6
LARGER = 1.8  # times the mesh's opening: no person's, whatever the make-up
SHARES = np.linspace(0.3, 0.8, 6)  # of the way from the darkest to the whitest: white
# Of a flat drawing's eye, in widths of the mesh's: how wide, how tall at least and at most; how
# clearly its lines have to be seen, and what it costs when one is taller than the other.
BOX, TALL = 1.2, (0.6, 1.5)
CLEAR, ALIKE = 1.3, 1.0
FloatLike = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Iris:
    centre: FloatLike
    radius: float
    white: Mask  # the eye's white, as this iris was found in it


@dataclass(frozen=True)
class _View:
    """The picture around an eye, its corners level and `WIDE` apart. `lab` [H, W, 3]; `matrix`
    [2, 3] from the picture; `mesh`: the area of the mesh's opening in pixels, `lower` [5, 2]: the
    middle of its lower lid."""

    lab: FloatArray
    matrix: FloatLike
    mesh: float
    lower: FloatLike


_Eye = tuple[FloatLike, _Iris]  # the opening [RAYS, 2], and what is in it


def fit_eyes(rgba: ByteArray, landmarks: FloatArray) -> tuple[FloatArray, EyeKind]:
    """The landmarks [478, 3] of a cropped portrait [S, S, 4], and of what kind its eyes are.
    Drawn and boxed ones are moved onto what the picture shows; otherwise all are as they were."""
    picture = np.ascontiguousarray(rgba[..., :3])
    skin = _skin(cv2.GaussianBlur(picture, (0, 0), len(rgba) / 500), landmarks)
    views = {side: _view(picture, landmarks, side) for side in EYES}
    missed = [_missed(view, skin) for view in views.values()]
    if min(missed) < MAYBE:
        return landmarks, "mesh"
    surely = float(np.mean(missed)) > SURELY
    larger = 1.0 if surely else LARGER
    eyes = {side: eye for side, view in views.items() if (eye := _found(view, skin, larger))}
    if len(eyes) == len(views):
        return _moved(landmarks, views, eyes), "drawn"
    if not surely:
        return landmarks, "mesh"
    boxes = _boxed(views, skin)
    return (_moved(landmarks, views, boxes), "boxed") if boxes else (landmarks, "unclear")


def _found(view: _View, skin: FloatArray, larger: float) -> _Eye | None:
    """Where hair hangs onto the eye, it is found when hair, too, is taken for its surroundings."""
    for around in (skin, np.vstack([skin, _hair(view, skin)])):
        eye = _outline(view, around)
        if eye is not None and _is_drawn(eye, view, skin, larger):
            return eye
    return None


def _hair(view: _View, skin: FloatArray) -> FloatArray:
    """Some of the colours high above the eye that are not the skin's [m, 3]."""
    above = view.lab[: VIEW[1] // 7].reshape(-1, 3)
    strange = above[_away(above, skin) > 14]
    return strange[:: len(strange) // 24 + 1]


def _missed(view: _View, skin: FloatArray) -> float:
    """How much of what is right below the mesh's eye is no skin."""
    depths = np.array([0.08, 0.12, 0.16, 0.20])[:, None, None] * WIDE * np.array([0, 1])
    x, y = np.moveaxis(view.lower + depths, -1, 0).astype(np.float32)
    colours = cv2.remap(view.lab, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return float(np.mean(_away(colours, skin) > 14))


def _away(lab: FloatArray, skin: FloatArray) -> FloatArray:
    return np.asarray(np.min([np.linalg.norm((lab - one) * TINT, axis=-1) for one in skin], 0))


def _bare(view: _View, around: FloatArray) -> FloatArray:
    """1 where the view shows the colours around an eye [H, W]."""
    return np.asarray(1 - np.clip((_away(view.lab, around) - 8) / 10, 0, 1), np.float32)


def _is_drawn(eye: _Eye, view: _View, skin: FloatArray, larger: float) -> bool:
    """Large, of one sweep, and its white as light as skin: make-up and shadow are neither."""
    ring, iris = eye
    area = cv2.contourArea(ring.astype(np.float32))
    hull = cv2.contourArea(cv2.convexHull(ring.astype(np.float32)))
    sweep = area / max(hull, 1e-6)
    white, bare = (np.median(colours, 0) for colours in (view.lab[iris.white], skin))
    tint, tone = (float(np.hypot(colour[1], colour[2])) for colour in (white, bare))
    pale = white[0] > 0.85 * bare[0] and tint < max(0.5 * tone, 6.0)
    return bool(area > larger * view.mesh and sweep > 0.98 and pale)


def _skin(soft: ByteArray, landmarks: FloatArray) -> FloatArray:
    """What colours the face's bare skin shows, in its light and in its shade [m, 3]."""
    places = np.clip(np.round(landmarks[BARE, :2]).astype(int), 0, len(soft) - 1)
    colours = lab_of(soft[places[:, 1], places[:, 0]])
    away = np.linalg.norm((colours - np.median(colours, 0)) * TINT, axis=1)
    return np.asarray(colours[away <= max(2.5 * float(np.median(away)), 8.0)])


def _view(picture: ByteArray, landmarks: FloatArray, side: str) -> _View:
    upper, lower, _ = EYES[side]
    ends = landmarks[[upper[0], upper[-1]], :2].astype(np.float64)
    lab, matrix = level_view(picture, ends, WIDE, VIEW, (VIEW[0] / 2, VIEW[1] / 2))
    turn, shift = matrix[:, :2], matrix[:, 2]
    opening = landmarks[upper + lower[::-1], :2].astype(np.float32)
    middle = landmarks[lower[2:-2], :2] @ turn.T + shift
    area = float(cv2.contourArea(opening)) * abs(float(np.linalg.det(turn)))
    return _View(lab, matrix, area, middle)


def _outline(view: _View, around: FloatArray) -> _Eye | None:
    """The opening in the view and the iris in it; `around` [m, 3]: the colours around an eye."""
    bare = _bare(view, around)
    centre = np.array(VIEW) / 2
    radii = _star(bare, centre)
    shape = cv2.moments(_ring(centre, radii).astype(np.float32))
    if shape["m00"] < 100:
        return None
    # From its own middle an eye is more of a star.
    centre = np.array([shape["m10"], shape["m01"]]) / shape["m00"]
    radii = _star(bare, centre)
    inside = np.zeros(bare.shape, np.uint8)
    cv2.fillPoly(inside, [np.round(_ring(centre, radii)).astype(np.int32)], 1)
    beside = cv2.dilate(inside, np.ones((9, 9), np.uint8)) > inside
    within = inside > 0
    if not within.any() or bare[within].mean() > 0.18 or bare[beside].mean() < 0.5:
        return None
    iris = _iris(view.lab, within)
    return None if iris is None else (_ring(centre, _opening(iris, centre, radii)), iris)


def _ring(centre: FloatLike, radii: FloatLike) -> FloatLike:
    return centre + radii[:, None] * _directions()


def _directions() -> FloatLike:
    angle = np.arange(RAYS) * (2 * np.pi / RAYS)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _polar(picture: FloatArray, centre: FloatLike) -> FloatArray:
    """[RAYS, REACH]."""
    middle = (float(centre[0]), float(centre[1]))
    drawn = cv2.warpPolar(picture, (REACH, RAYS), middle, REACH, cv2.WARP_FILL_OUTLIERS)
    return np.asarray(drawn, np.float32)


def _star(bare: FloatArray, centre: FloatLike) -> FloatLike:
    """Radii [RAYS] of the best curve about `centre`, by dynamic programming. Beyond a gap of skin,
    as below a brow, what is no skin counts no more."""
    polar = _polar(bare, centre)
    gap = np.maximum(np.cumsum(polar, 1) - polar - 2, 0)
    gain = np.where(polar < 0.5, (2 * polar - 1) * np.exp(-gap / 4), 2 * polar - 1)
    cost = np.cumsum(gain * (np.arange(REACH) + 0.5) / REACH, 1)
    steps = np.arange(-4, 5)[:, None]
    come = np.arange(REACH) + steps
    price = np.where((come >= 0) & (come < REACH), 0.15 * np.abs(steps) ** 1.5, np.inf)
    come = np.clip(come, 0, REACH - 1)
    total, before = np.zeros(REACH), []
    for ray in [*range(RAYS)] * 2:  # twice around, so that it closes
        ways = total[come] + price
        before.append(come[ways.argmin(0), np.arange(REACH)])
        total = ways.min(0) + cost[ray]
    radius, path = int(total.argmin()), []
    for back in reversed(before):
        path.append(float(radius))
        radius = int(back[radius])
    half = RAYS // 2
    return np.roll(np.array(path[::-1][half : half + RAYS]), half)


def _iris(lab: FloatArray, within: Mask) -> _Iris | None:
    """The largest disc without white in it, whatever passes for white: of a pale iris the pupil
    is one too."""
    pale = np.maximum(lab[..., 0] - np.linalg.norm(lab[..., 1:], axis=-1), 0)
    whiteness = cv2.GaussianBlur(pale, (0, 0), 0.8)
    low, high = np.percentile(whiteness[within], (5, 97))
    best = None
    for share in SHARES:
        white = within & (whiteness > low + share * (high - low))
        _, parts, stats, _ = cv2.connectedComponentsWithStats(white.astype(np.uint8))
        large = stats[:, cv2.CC_STAT_AREA] > 0.035 * within.sum()  # highlights are smaller
        large[0] = False
        white = large[parts]
        if white.sum() < 0.06 * within.sum():
            continue
        iris = _disc(white, within)
        if iris is not None and (best is None or iris.radius > 1.3 * best.radius):
            best = iris
    return best


def _disc(white: Mask, within: Mask) -> _Iris | None:
    """The circle along the white's edge about the widest place without white."""
    dark = (within & ~white).astype(np.uint8)
    room = cv2.distanceTransform(np.pad(dark, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(room.argmax(), room.shape)
    centre, radius = np.array([x, y], np.float64), float(room.max())
    edge = cv2.dilate(white.astype(np.uint8), np.ones((3, 3), np.uint8)) & dark
    rim = np.argwhere(edge)[:, ::-1].astype(np.float64)
    for band in (0.30, 0.20, 0.15, 0.12):
        near = rim[np.abs(np.linalg.norm(rim - centre, axis=1) - radius) < band * radius]
        if len(near) < 8:
            return None
        system = np.column_stack([2 * near, np.ones(len(near))])
        *middle, rest = np.linalg.lstsq(system, (near**2).sum(1), rcond=None)[0]
        moved = np.array(middle)
        size = float(np.sqrt(max(rest + moved @ moved, 1e-3)))
        if np.linalg.norm(moved - centre) > 0.5 * radius or not 0.6 < size / radius < 1.6:
            return None
        centre, radius = moved, size
    away = near - centre
    error = np.sqrt(np.mean((np.linalg.norm(away, axis=1) - radius) ** 2)) / radius
    seen = len(np.unique(np.degrees(np.arctan2(away[:, 1], away[:, 0])) // 10)) / 36
    wide = radius / max(float(np.ptp(np.argwhere(within)[:, 1])), 1.0)
    sure = error < 0.075 and seen >= 0.28 and 0.11 < wide < 0.5
    return _Iris(centre, radius, white) if sure else None


def _opening(iris: _Iris, centre: FloatLike, outer: FloatLike) -> FloatLike:
    """Radii of the opening: white shows how thick lashes and lines are where it meets them; where
    the iris does they are as thick as the thinner ones beside."""
    white = _polar(iris.white.astype(np.float32), centre) > 0.5
    to_white = np.where(white.any(1), REACH - white[:, ::-1].argmax(1), 0).astype(np.float64)
    away = iris.centre - centre
    along = _directions() @ away
    reach = along**2 - away @ away + iris.radius**2
    to_iris = np.where(reach > 0, along + np.sqrt(np.maximum(reach, 0)), 0)
    known = np.flatnonzero((to_white > to_iris) & (to_white > 0.5 * outer))
    if not len(known):
        return outer
    line = (outer - to_white)[known]
    beside = np.searchsorted(known, np.arange(RAYS))
    thick = np.minimum(line[beside % len(known)], line[beside - 1])
    thick = thick * (1 - 0.8 * _directions()[:, 0] ** 2) - 1  # at the corners lashes are thin
    # Drawn irises are often taller than wide; beyond them is no eye.
    thick = np.maximum(thick, outer - np.maximum(to_iris, to_white) - TALLER * iris.radius)
    thick[known] = line
    radii = outer - np.minimum(thick, 0.5 * outer)
    around = np.concatenate([radii[-8:], radii, radii[:8]])
    return np.asarray(cv2.GaussianBlur(around[None], (0, 0), 1.3)[0, 8:-8])


def _boxed(views: dict[str, _View], skin: FloatArray) -> dict[str, _Eye] | None:
    """As ovals between the dark lines of the upper lids and where skin begins again below; both
    are about as tall."""
    lines = [_lines(view, skin) for view in views.values()]
    tall = [(found[:, 3] - found[:, 2]) / WIDE for found in lines]
    clear = lines[0][:, :1] + lines[1][:, 0] - ALIKE * np.abs(tall[0][:, None] - tall[1])
    best = np.unravel_index(clear.argmax(), clear.shape)
    chosen = [found[index] for found, index in zip(lines, best, strict=True)]
    if min(seen for seen, *_ in chosen) < CLEAR:
        return None
    return {
        side: _oval(1 - _bare(view, skin), *found[1:])
        for (side, view), found in zip(views.items(), chosen, strict=True)
    }


def _lines(view: _View, skin: FloatArray) -> FloatLike:
    """[n, 4]: of each row that might be the line of the upper lid how clearly it is, the eye's
    middle x, this row, and the row where skin begins below."""
    height, width = view.lab.shape[:2]
    middle, bright = height // 2, max(float(np.median(skin[:, 0])), 1.0)
    strange = 1 - _bare(view, skin)
    level = cv2.GaussianBlur(view.lab[..., 0], (0, 0), 1.2) / bright
    tops = np.arange(max(middle - round(1.3 * WIDE), 8), middle + round(0.1 * WIDE))[:, None]
    low, high = (round(share * WIDE) for share in TALL)
    bottoms = tops + np.arange(low, high, 2)
    inside = (bottoms >= middle - round(0.1 * WIDE)) & (bottoms < height - 8)
    bottoms = np.minimum(bottoms, height - 9)
    found = np.full((len(tops), 4), -np.inf)
    for x in range(width // 2 - round(0.3 * WIDE), width // 2 + round(0.3 * WIDE), 4):
        near, wide = (slice(x - round(r * WIDE), x + round(r * WIDE) + 1) for r in (0.28, 0.42))
        sums = np.concatenate([[0.0], np.cumsum(strange[:, near].mean(1))])
        eye = (sums[bottoms] - sums[tops]) / (bottoms - tops)
        under = (sums[bottoms + 8] - sums[bottoms + 2]) / 6
        line = np.percentile(level[:, wide], 78, axis=1)  # dark all across, as no iris is
        seen = 2 * (eye - under) - 1.6 * line[tops] + 0.35 * line[tops - 8]
        seen = np.where(inside, seen, -np.inf)
        lowest = np.take_along_axis(bottoms, seen.argmax(1)[:, None], 1)
        here = np.hstack([seen.max(1)[:, None], np.full_like(tops, x), tops, lowest])
        found = np.where(here[:, :1] > found[:, :1], here, found)
    return np.asarray(found[np.isfinite(found[:, 0])])


def _oval(strange: FloatArray, x: float, top: float, bottom: float) -> _Eye:
    """Rather a box than an ellipse, as such eyes are; as wide as no skin is, or as usual where hair
    is beside it."""
    middle, tall = 0.5 * (top + bottom), bottom - top
    rows = slice(round(top), round(bottom - 0.2 * tall))
    skin = np.flatnonzero(strange[rows].mean(0) < 0.1)
    ends = (x - skin[skin < x].max(initial=0), skin[skin > x].min(initial=VIEW[0]) - x)
    left, right = (max(end, WIDE / 4) if end < 0.75 * WIDE else BOX * WIDE / 2 for end in ends)
    bulge = np.sign(_directions()) * np.abs(_directions()) ** 0.75
    ring = [x + (right - left) / 2, middle] + bulge * [(left + right) / 2, tall / 2]
    return ring, _Iris(np.array([x, middle]), 0.3 * WIDE, np.zeros((0, 0), bool))


def _moved(landmarks: FloatArray, views: dict[str, _View], eyes: dict[str, _Eye]) -> FloatArray:
    moved = landmarks.copy()
    for side, eye in eyes.items():
        _move(moved, side, eye, views[side])
    return moved


def _move(landmarks: FloatArray, side: str, eye: _Eye, view: _View) -> None:
    """The mesh's points of an eye, in place; depths stay."""
    ring, iris = eye
    upper, lower, middle = EYES[side]
    first, last = int(ring[:, 0].argmin()), int(ring[:, 0].argmax())
    above = np.roll(ring, -first, 0)[: (last - first) % RAYS + 1]
    below = np.roll(ring, -last, 0)[: (first - last) % RAYS + 1][::-1]
    share = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, len(upper)))
    x = ring[first, 0] + share * (ring[last, 0] - ring[first, 0])
    back = np.linalg.inv(view.matrix[:, :2])

    def place(points: FloatLike) -> FloatLike:
        return np.asarray((points - view.matrix[:, 2]) @ back.T)

    for index, lid in ((upper, above), (lower, below)):
        order = np.argsort(lid[:, 0])
        y = np.interp(x, lid[order, 0], lid[order, 1])
        y[[0, -1]] = ring[[first, last], 1]
        landmarks[index, :2] = place(np.column_stack([x, y]))
    sides = np.array([[0, 0], [1, 0], [0, -1], [-1, 0], [0, 1]]) * iris.radius
    landmarks[middle, :2] = place(iris.centre + sides)
