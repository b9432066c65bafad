"""How far a mouth is open, as a viewer sees it: read from decoded pictures of a still head."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

OPEN, SHUT = 0.3, 0.15  # of a mouth that is wide open; coding blurs what is less
MOVING = 95  # percentile of the pixels' changes above which they are the mouth's


class Mouth:
    """Learnt from crops [n, h, w] or [n, pixels] of a lower face that talks and rests."""

    def __init__(self, crops: npt.NDArray[np.uint8], resting: int) -> None:
        """The first `resting` of them are at rest."""
        self._rest = np.median(crops[:resting], axis=0)
        changes = np.abs(crops - self._rest)
        moving = changes.std(0)
        self._mouth = moving >= np.percentile(moving, MOVING)
        self._wide = float(np.percentile(changes[resting:, self._mouth].mean(1), 95))

    def apertures(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """0 at rest .. about 1 wide open: how much of the mouth differs."""
        return np.asarray(np.abs(crops - self._rest)[:, self._mouth].mean(1) / self._wide)


def shut_after(
    apertures: npt.NDArray[np.float64], times: npt.NDArray[np.float64], moment: float
) -> float | None:
    """From a moment to the first picture of a mouth that stays shut; None when it was not open
    at the moment, or never shut."""
    after = int(np.searchsorted(times, moment))
    still_open = np.flatnonzero(apertures > SHUT)
    if (
        not 0 < after < len(times)
        or apertures[after - 1] < OPEN
        or still_open[-1] + 1 >= len(times)
    ):
        return None
    return float(times[max(still_open[-1] + 1, after)] - moment)
