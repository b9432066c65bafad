"""What a worker does with sound that waits for its stream: in pieces, late, skipped, taken back."""

from __future__ import annotations

import socket
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from threading import Thread

import av
import numpy as np
import pytest

from avatar_server.worker.encoders import open_encoder
from avatar_server.worker.process import WIRE_RATE_HZ, HostedStream, Worker, silence
from avatar_server.worker.wire import Decoder, WireMessage, encode
from sonic_stream.avatars import load_avatar
from sonic_stream.engine import StreamOptions, load_engine
from sonic_stream.engines.testcard import is_flash
from sonic_stream.media import AudioChunk, IdentityLatents
from sonic_stream.resample import Decimator


def hosted(look_ahead_ms: int = 80) -> HostedStream:
    engine = load_engine("testcard", size_px=64, look_ahead_ms=look_ahead_ms)
    latents: IdentityLatents = engine.prepare(load_avatar("mira"))
    options = StreamOptions()
    stream = HostedStream(engine.open(latents, options), options, engine.spec, Decimator())
    stream.set_codecs(["vp8"], {"vp8": open_encoder("vp8", 64, Fraction(25), 300_000)})
    return stream


def waits(stream: HostedStream, first: int, count: int) -> None:
    for number in range(first, first + count):
        silence = np.zeros(960, np.float32)
        stream.waiting.append(AudioChunk(silence, WIRE_RATE_HZ, number * 960, number))


def test_a_piece_of_sound_ends_with_the_hop_that_it_makes_due() -> None:
    stream = hosted()
    waits(stream, 0, 11)
    taken = [stream.take() for _ in range(2)]
    assert [len(push.audio.samples) for push in taken] == [8 * 320, 2 * 320]
    assert [push.audio.generation for push in taken] == [7, 9]
    assert [push.render for push in taken] == [False, True]
    assert stream.dropped == 2
    assert len(stream.waiting) == 1


@pytest.mark.parametrize("behind", [4, 10, 30])
def test_neighbours_that_take_as_long_as_a_hop_leave_a_stream_every_other_picture(
    behind: int,
) -> None:
    stream = hosted()
    waits(stream, 0, behind)
    turns, drawn = 40, 0
    for turn in range(turns):
        waits(stream, behind + 2 * turn, 2)  # what comes while the neighbours are drawn
        push = stream.take()
        stream.stream.push(push.audio, render=push.render)
        drawn += push.render
    assert drawn >= turns // 2 - 2
    assert len(stream.waiting) < 10


def test_what_nobody_watches_is_not_drawn() -> None:
    stream = hosted()
    stream.set_codecs([], {})
    waits(stream, 0, 8)
    alone = [stream.take() for _ in range(2)]
    assert [push.render for push in alone] == [False, False]
    assert stream.dropped == 0


def test_what_cannot_be_caught_up_with_is_skipped() -> None:
    stream = hosted()
    waits(stream, 0, 6)
    stream.stream.push(stream.take().audio)
    waits(stream, 6, 160)  # more than three seconds
    stream.skip()
    assert stream.dropped == 79
    assert [chunk.pts for chunk in stream.waiting] == [164 * 960, 165 * 960]
    waits(stream, 166, 4)
    push = stream.take()
    assert [chunk.pts for chunk in stream.stream.push(push.audio)] == [82]


@pytest.mark.parametrize("consumed", [0, 4, 5, 7])
def test_sound_that_nobody_heard_is_taken_back_from_the_stream(consumed: int) -> None:
    """A flash shows an onset: one of a sound in the eighth tick, which is taken back."""
    stream, flashes = hosted(), []
    for number in range(8):
        loud = np.full(960, 0.5 * (number == 7), np.float32)
        stream.waiting.append(AudioChunk(loud, WIRE_RATE_HZ, number * 960))
        if number <= consumed:
            stream.stream.push(stream.take().audio)
    silence(stream.waiting, 7 * 960 - 300)  # a fade of 240
    stream.silence_from(7 * 960 - 300)
    waits(stream, 8, 12)
    while stream.waiting:
        for chunk in stream.stream.push(stream.take().audio):
            flashes.append(is_flash(chunk.frames[0]))
    assert len(flashes) >= 6
    assert not any(flashes)


def test_sound_is_taken_back_that_its_stream_has_not_heard_yet(tmp_path: Path) -> None:
    """All of it comes before the stream is open."""
    engine = load_engine("testcard", size_px=64)
    path = tmp_path / "testcard.safetensors"
    engine.prepare(load_avatar("mira")).save(path)
    opening = {"identity": str(path), "options": asdict(StreamOptions()), "bitrate_bps": 300_000}

    def sound(number: int, level: int) -> WireMessage:
        fields = {"stream": 1, "pts": 960 * number, "generation": 0}
        return WireMessage("audio", fields, np.full(960, level, np.int16).tobytes())

    messages = [
        WireMessage("open", {"stream": 1, "codecs": ["vp8"], **opening}),
        *(sound(number, 10_000) for number in (0, 1)),
        WireMessage("silence", {"stream": 1, "pts": -300}),
        *(sound(number, 0) for number in range(2, 8)),  # no more, or it would be late
    ]
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    worker = Thread(target=Worker(theirs, engine, 1).serve, daemon=True)
    decoder, packets = Decoder(), []
    with ours, theirs:
        ours.sendall(b"".join(encode(message) for message in messages))
        worker.start()
        while len(packets) < 2:
            packets += [m for m in decoder.feed(ours.recv(1 << 16)) if m.kind == "packet"]
        ours.shutdown(socket.SHUT_WR)
        worker.join(20)
    context = av.CodecContext.create("libvpx", "r")
    shown = [f for packet in packets for f in context.decode(av.Packet(packet.body))]
    assert not any(is_flash(frame.to_ndarray(format="rgb24")) for frame in shown)
