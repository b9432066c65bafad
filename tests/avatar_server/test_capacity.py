"""How many streams a worker process hosts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_server.worker.capacity import MOST, SHARE, babble, measured_places, places
from sonic_stream.avatars import load_avatar
from sonic_stream.engine import load_engine
from sonic_stream.engines.lite.network import CHANNEL, AudioToMotion, MotionNet


@pytest.mark.parametrize(
    ("picture_ms", "hosted"),
    [(8.9, 4), (11.9, 3), (12.1, 2), (18.1, 1), (36.1, 1), (90.0, 1), (0.5, MOST)],
)
def test_streams_leave_time_to_spare(picture_ms: float, hosted: int) -> None:
    assert places(picture_ms, 40.0) == hosted


@given(st.floats(0.01, 1000), st.floats(5, 100))
def test_never_none_and_never_too_many(picture_ms: float, period_ms: float) -> None:
    hosted = places(picture_ms, period_ms)
    assert 1 <= hosted <= MOST
    assert hosted == 1 or hosted * picture_ms <= SHARE * period_ms


def test_what_is_measured_is_talk() -> None:
    rows = AudioToMotion(MotionNet.load()).push(babble(16_000, 16_000))[3:]
    assert rows[:, CHANNEL["speech"]].min() > 0.9
    assert rows[:, CHANNEL["jaw"]].max() > 0.3


def test_dearer_pictures_are_fewer() -> None:
    hosted = []
    for size_px in (128, 1536):
        engine = load_engine("lite", size_px=size_px)
        hosted.append(measured_places(engine, engine.prepare(load_avatar("mira"))))
    assert hosted[0] > hosted[1] == 1
