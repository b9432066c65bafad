"""The instrument itself: readable numbers, a flash in the right frame."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from avatar_server.worker.encoders import open_encoder
from sonic_stream.avatars import load_avatar
from sonic_stream.engine import StreamOptions, load_engine
from sonic_stream.engines.testcard import TestcardStream, is_flash, read_pts
from sonic_stream.media import AudioChunk


def stream(size_px: int = 256) -> TestcardStream:
    engine = load_engine("testcard", size_px=size_px)
    opened = engine.open(engine.prepare(load_avatar("nia")), StreamOptions())
    assert isinstance(opened, TestcardStream)
    return opened


def silence(frames: int, start_frame: int = 0) -> AudioChunk:
    return AudioChunk(np.zeros(frames * 640, np.float32), 16000, start_frame * 640)


@pytest.mark.parametrize("start", [0, 1, 255, 256, 99_999, 2**24 - 1])
def test_every_picture_tells_its_number(start: int) -> None:
    (chunk,) = stream().push(silence(3, start))
    assert read_pts(chunk.frames[0]) == start


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_the_number_survives_encoding_and_scaling(codec: str) -> None:
    encoder = open_encoder(codec, 256, Fraction(25), 400_000)
    decoder = av.CodecContext.create("libvpx" if codec == "vp8" else "h264", "r")
    shown = []
    for chunk in stream().push(silence(22, 1000)):
        packet = encoder.encode(chunk.frames[0], chunk.pts, keyframe=False)
        assert packet is not None
        shown += decoder.decode(av.Packet(packet.data))
    shown += decoder.decode(None)
    small = [cv2.resize(f.to_ndarray(format="rgb24"), (160, 160)) for f in shown]
    assert [read_pts(np.asarray(p)) for p in small] == list(range(1000, 1020))


def test_a_damaged_number_is_no_number() -> None:
    (chunk,) = stream().push(silence(3))
    picture = chunk.frames[0].copy()
    picture[:32, :8] = 255
    assert read_pts(picture) is None


def test_the_flash_is_in_the_frame_where_the_sound_begins() -> None:
    samples = np.zeros(30 * 640, np.float32)
    samples[10 * 640 + 100 : 12 * 640] = 0.5
    samples[14 * 640 : 15 * 640] = 0.5  # too soon after the first: no new onset
    samples[25 * 640 + 600 :] = 0.5
    flashes = [c.pts for c in stream().push(AudioChunk(samples, 16000, 0)) if is_flash(c.frames[0])]
    assert flashes == [10, 11, 25, 26]
