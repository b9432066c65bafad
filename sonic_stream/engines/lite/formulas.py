"""PURE. How lids, gaze and lips show, as formulas over grids: of NumPy arrays where one picture
is drawn, of torch tensors with a leading axis where those of many streams are.

`xp` is the library (`numpy` or `torch`); numbers may be floats, or tensors [n, 1, 1]. Eyes are
measured in eye widths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Grid = Any  # of either library


def ease(x: Grid, low: Grid, high: Grid) -> Grid:
    """Smoothly from 0 at `low` to 1 at `high`."""
    t = ((x - low) / (high - low)).clip(0, 1)
    return t * t * (3 - 2 * t)


EDGE_NODES = 6


def inward(x: Grid, y: Grid, columns: Any, rows: Any, xp: Any) -> Grid:
    """0 for places at and beyond the sides and the bottom of a patch of so many nodes, 1 well
    within it. Above the mouth nothing but the head moves, which the patch's first row knows."""
    beside = xp.minimum(x, columns - 1 - x)
    return (xp.minimum(beside, rows - 1 - y) / EDGE_NODES).clip(0, 1)


@dataclass(frozen=True)
class EyeNodes:
    """Where each node of the eye's patch lies in the eye frame of the portrait: `x` along,
    `v` below the upper lid, `to_lower` above the lower one, `height` of the opening there."""

    x: Grid
    v: Grid
    to_lower: Grid
    height: Grid


def lids_rise(nodes: EyeNodes, above: Any, upper: Any, lower: Any, xp: Any) -> Grid:
    """Shift down the eye's y where the upper lid rises by `upper`, its fold with it, or falls
    (negative), and the lower one is pushed up by `lower`; all in eye widths. `above`: how tall
    the lid's skin is."""
    v, x, below = nodes.v, nodes.x, -nodes.to_lower
    bow = xp.sqrt((4 * x * (1 - x)).clip(0, 1)) * ease(x, 0, 0.2) * ease(1 - x, 0, 0.2)
    # Rising it draws the ball's picture out; falling it slides over it.
    held = xp.where(upper > 0, ease(v, 0.0, 0.75 * nodes.height + 1e-3), ease(v, 0.02, 0.10))
    fold = ease(v, -0.9 * above, -0.1) * (1 - held)
    pushed = ease(below, -0.10, -0.04) * (1 - ease(below, 0.04, 0.40))
    return bow * (upper * fold + lower * pushed)


def near_lids(nodes: EyeNodes, above: Any) -> Grid:
    """What they move, and a node more."""
    return (abs(nodes.x - 0.5) < 0.56) & (nodes.v > -0.9 * above - 0.08) & (nodes.to_lower > -0.48)


def near_opening(nodes: EyeNodes) -> Grid:
    """What gaze and blink change: the opening, and the skin just above it, alone."""
    return (nodes.v > -0.36) & (nodes.to_lower > -0.16) & (abs(nodes.x - 0.5) < 0.6)


def ball_moves(nodes: EyeNodes, iris: tuple[Any, Any, Any], xp: Any) -> Grid:
    """Share of the gaze's shift: the iris moves as a whole, the white beside it stretches.
    `iris`: its centre, and what is left and right of it."""
    x, (centre, left, right) = nodes.x, iris
    return xp.where(x < centre, (x / left).clip(0, 1), ((1 - x) / right).clip(0, 1))


def within_lids(nodes: EyeNodes, margins: tuple[Grid, Grid], xp: Any) -> Grid:
    """How far inside the opening, clear of the lash line, which must not be dragged along."""
    return xp.minimum(nodes.v - margins[0], nodes.to_lower - margins[1])


def closing_lid(
    nodes: EyeNodes, overshoot: Grid, coming: tuple[Any, Any], lashes: tuple[Any, Any, Any], xp: Any
) -> tuple[Grid, Grid, Grid]:
    """How far beyond a coming lid's margin, how far its skin covers, and how dark its lashes are.
    Nothing around the eye is moved, so frames, fringes and make-up stay where they are.
    `overshoot`: how far it reaches below the lower lid; above it (negative) the lower one comes
    up. `coming`: the blink, and how far what lies beside the opening is covered too; `lashes`: how
    thick they are, how soft above, how dark."""
    v, x, (blink, comes), (thick, soft, dark) = nodes.v, nodes.x, coming, lashes
    # The margin keeps the upper lid's curve until it meets the lower one, just covering it.
    bow = 4 * x.clip(0, 1) * (1 - x.clip(0, 1))
    travel = blink * (nodes.height + overshoot) * (1 - 0.22 * (1 - blink) * bow)
    sides = ((x + 0.04) / 0.08).clip(0, 1) * ((1.04 - x) / 0.08).clip(0, 1)
    lash = xp.exp(-(((v - travel + thick).clip(None, 0) / soft) ** 2)) * sides
    thin = 0.55 + 0.45 * bow  # lashes thin out towards the corners
    # What the lid covers above the opening too, such as lashes, is toned away by and by.
    cover = xp.maximum(ease(v, -0.04, 0.0), comes)
    rise = (-overshoot).clip(0, None)
    lower = xp.where(rise > 0, nodes.to_lower - 1.05 * blink * rise, 1.0)
    lash = xp.where(rise > 0, lash * (1 - ease(v - travel, 0.0, 0.03)), lash)
    cover = xp.where(nodes.to_lower < 0, comes, cover)
    return xp.minimum(v - travel, lower), cover, dark * lash * thin


DRAWN_OUT, DRAWN_UP = 0.5, 0.5  # of the eye's height: so much above and below it is
MEETING = 0.4  # of the eye's height above its lower end: there a flat drawing's lids meet


def falling_lids(nodes: EyeNodes, line: Any, falls: Any) -> tuple[tuple[Grid, Grid], ...]:
    """The lids of a flat drawing, the lower one first: a little skin comes up, then the upper one's
    `line`, so thick, comes down, and what is above is drawn out behind it. Of each the shift down
    the eye's y, and how far a node is from where it is seen."""
    up, height = nodes.to_lower, nodes.height
    way = falls * ((1 - MEETING) * height - line / 2).clip(0, None)
    edge, rises = height - line / 2 - way, falls * height * (MEETING + line / 2 / (height + line))
    behind, below = way + DRAWN_OUT * height + 0.08, rises + DRAWN_UP * height + 0.04
    fall = -way * ((edge + line + behind - up) / behind).clip(0, 1)
    rise = rises * ((up - rises + below) / below).clip(0, 1)
    return (rise, up - rises), (fall, edge - up)


def near_falling(nodes: EyeNodes) -> Grid:
    """What falling lids change."""
    above, below = DRAWN_OUT * nodes.height + 0.2, DRAWN_UP * nodes.height + 0.1
    return (nodes.v > -above) & (nodes.to_lower > -below) & (abs(nodes.x - 0.5) < 0.54)


@dataclass(frozen=True)
class LipEdges:
    """`scale`: picture pixels for one of a 512 px picture; `edge`: width of a soft edge in
    pixels; `opened` 0..1."""

    scale: Any
    edge: Any
    opened: Any

    @staticmethod
    def softness(scale: float, soft_px: float) -> float:
        return max(1.5 * scale, 2.0 * soft_px)  # as sharp as the portrait

    def upper(self, above: Grid) -> Grid:
        """The upper layer's coverage, `above` pixels below the upper lip's edge."""
        return (0.5 + (-0.25 * self.opened * self.scale - above) / self.edge).clip(0, 1)

    def lower(self, below: Grid, along: Grid) -> Grid:
        """The lower layer's, `below` pixels below the lower lip's edge; `along`: 1 at the
        corners."""
        # Closed lips overlap by more than a pixel: no dark hairline between them.
        overlap = (1.6 * (1 - self.opened) - 0.3 * self.opened) * self.scale
        lower = (0.5 + (below + overlap) / self.edge).clip(0, 1)
        between_corners = 1 - ((along - 0.96) / 0.07).clip(0, 1)
        return 1 - (1 - lower) * between_corners


def lips_shadow(above: Grid, below: Grid, depth: Any, half: Any, xp: Any) -> Grid:
    """What light is left between the lips; `half`: half the mouth's width in pixels."""
    # Between lips that hardly part the teeth lie right behind them, in the light.
    gap = ((above - below) / (0.25 * half)).clip(0.35, 1)
    shadow = 1 - depth * gap * (
        0.32 * xp.exp(-(above.clip(0)) / (0.07 * half))
        + 0.22 * xp.exp(-((-below).clip(0)) / (0.07 * half))
    )
    return shadow.clip(0.15, 1)
