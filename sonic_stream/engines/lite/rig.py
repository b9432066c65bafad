"""PURE. From the network's articulatory channels to the renderer's coefficients."""

from __future__ import annotations

import numpy as np

from sonic_stream.engines.lite.fields import INDEX
from sonic_stream.engines.lite.motion import no_coefficients
from sonic_stream.engines.lite.network import CHANNEL, CHANNELS, aperture
from sonic_stream.media import FloatArray
from sonic_stream.smoothing import AttackRelease

FRAME_S = 0.04
# Half-lives in seconds at smoothing 1: opening may be calm, closing has to be quick.
OPEN_HALF_LIFE_S = 0.03
CLOSE_HALF_LIFE_S = 0.018
WIDE = 0.7  # the aperture of an open vowel
STILL = 0.02  # below this a channel in silence is nothing at all


# Kept of the lips' last shape, frame by frame of a silence: shut in the second, then at rest.
EASE = (0.45, 0.3, 0.25, 0.0)

Lips = tuple[FloatArray, float]  # coefficients [18] and the tongue's height 0..1


def rested(last: Lips, still: int) -> Lips | None:
    """The lips in the `still`-th frame of a silence that nothing follows so far: they close from
    where they are, whatever the network makes of a sound that broke off. None without one."""
    kept = EASE[min(still, len(EASE)) - 1]
    return (kept * last[0], kept * last[1]) if still else None


def lips(channels: FloatArray, dynamic_scale: float) -> Lips:
    """Channels [11] -> the lips' shape."""
    heard = dict(zip(CHANNEL, channels.tolist(), strict=True))
    gate = _between(heard["speech"], 0.3, 0.55)
    value = {name: amount * gate for name, amount in heard.items()}
    out = no_coefficients()
    # Networks hedge: stretched so that a likely gesture is a full one, and an unlikely one none.
    closed = _between(value["close"], 0.22, 0.67)
    tucked = _between(value["tuck"], 0.15, 0.55) * (1 - closed)
    rounded = _between(value["round"], 0.12, 0.57)
    spread = _between(value["stretch"], 0.12, 0.62)
    # The lips' distance is what is seen; the jaw takes its share of it, the lips the rest.
    opened = min(float(aperture(channels)) / WIDE, 1.3) * (1 - closed)
    jaw = (0.55 * opened + 0.45 * value["jaw_loud"]) * (1 - 0.85 * closed) * (1 - 0.5 * tucked)
    free = 1 - max(closed, 0.5 * tucked)

    def put(name: str, amount: float) -> None:
        out[INDEX[name]] = amount

    put("jaw", 0.78 * dynamic_scale * jaw)
    put("lower_down", 0.62 * dynamic_scale * free * (0.6 * opened + 0.3 * spread))
    raised = free * (0.3 * opened + 0.5 * value["upper_raise"]) + 0.6 * tucked  # f shows teeth
    put("upper_up", 0.62 * dynamic_scale * raised)
    put("pucker", dynamic_scale**0.5 * 0.85 * rounded)
    put("funnel", dynamic_scale**0.5 * 0.55 * value["funnel"] * free)
    put("stretch", dynamic_scale**0.5 * 0.7 * spread * (1 - 0.7 * rounded))
    put("press", 0.55 * closed)
    put("tuck", 0.9 * tucked)
    put("close", max(closed, rounded, 0.7 * tucked, 0.6 * gate))
    out[np.abs(out) < STILL * gate] = 0.0
    np.clip(out, 0.0, 1.25, out=out)
    return out, value["tongue"] * min(opened, 1.0)


def _between(value: float, nothing: float, full: float) -> float:
    return min(max((value - nothing) / (full - nothing), 0.0), 1.0)


def lip_smoother() -> AttackRelease:
    """Temporal smoothing of the channels across frames and chunks, quicker towards closure."""
    opens = np.full(len(CHANNELS), True)
    opens[[CHANNEL["close"], CHANNEL["tuck"]]] = False
    return AttackRelease(
        np.where(opens, OPEN_HALF_LIFE_S, CLOSE_HALF_LIFE_S),
        np.where(opens, CLOSE_HALF_LIFE_S, OPEN_HALF_LIFE_S),
        len(CHANNELS),
    )
