"""A recording shows the mouth shut soon after the sound of interrupted talk, in sync."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.peers.interrupted import shut_after_sound_ms


@pytest.mark.parametrize("offset_ms", [0, 240, -240])
async def test_the_mouth_is_shut_when_the_sound_has_ended(tmp_path: Path, offset_ms: int) -> None:
    talks_s = (1.1, 1.34, 1.67, 1.91, 2.12)
    delays_ms = await shut_after_sound_ms(tmp_path, offset_ms, talks_s)
    assert len(delays_ms) >= 3, "talk was interrupted while the mouth was open"
    assert float(np.median(delays_ms)) < 150
    assert min(delays_ms) > -60
