"""WebRTC without a browser: the microphone's buffer, tracks, and two real peers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction

import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar_server.rtc.aiortc_internals import host_addresses
from avatar_server.rtc.opus import OpusDecoder, OpusEncoder
from avatar_server.rtc.peer import BadOffer, Peer, RtcSettings, ViewerOffer, ice_server
from avatar_server.rtc.receive import MAX_LEVEL, PACKET, MicBuffer
from avatar_server.rtc.tracks import PacketTrack
from sonic_stream.media import MediaPacket

FRAME_RATE = Fraction(25)
LOOPBACK = RtcSettings(host_addresses=("127.0.0.1",))


def numbered(payload: bytes) -> np.ndarray:
    """A decoder for tests: a 200 Hz sine whose phase follows from the packet's number."""
    start = int.from_bytes(payload, "big") * PACKET
    return (0.5 * np.sin(2 * np.pi * 200 * np.arange(start, start + PACKET) / 48_000)).astype(
        np.float32
    )


def packet(number: int) -> tuple[int, bytes]:
    """With a time stamp that wraps around after a second."""
    return (2**32 - 48_000 + number * PACKET) % 2**32, number.to_bytes(4, "big")


class Run:
    """A microphone buffer with a sender and a reader on clocks of their own."""

    def __init__(self) -> None:
        self.buffer = MicBuffer(numbered)
        self.heard: list[np.ndarray] = []
        self.levels: list[float] = []

    def read(self) -> None:
        self.heard.append(self.buffer.read(960))
        self.levels.append(self.buffer.stats()["level_ms"])

    @property
    def sound(self) -> np.ndarray:
        return np.concatenate(self.heard)


def longest_silence_ms(sound: np.ndarray) -> float:
    """Of the middle of the run."""
    loud = np.abs(sound[9600:-9600]).reshape(-1, 48).max(1) > 0.01
    runs = np.diff(np.flatnonzero(np.concatenate([[True], loud, [True]])))
    return float(runs.max() - 1)


def test_in_order_it_is_the_very_sound() -> None:
    run = Run()
    for number in range(100):
        run.buffer.push(*packet(number))
        run.read()
    sound = run.sound[np.flatnonzero(run.sound)[0] :]
    expected = np.concatenate([numbered(n.to_bytes(4, "big")) for n in range(100)])[1:]
    assert np.allclose(sound, expected[: len(sound)], atol=1e-6)
    assert run.buffer.counts.concealed == 0
    assert max(run.levels) <= 60


@pytest.mark.parametrize("loss", [0.02, 0.05, 0.15])
def test_losses_are_concealed_and_leave_no_delay(loss: float) -> None:
    run, rng = Run(), np.random.default_rng(7)
    for number in range(1500):
        if rng.random() > loss:
            run.buffer.push(*packet(number))
        run.read()
    assert longest_silence_ms(run.sound) < 100
    assert np.mean(run.levels[-100:]) < 130
    assert np.abs(np.diff(run.sound[9600:])).max() < 0.12, "no clicks"


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_jitter_and_reordering_are_harmless(seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrivals = sorted((n * 20 + rng.uniform(0, 50), n) for n in range(400))
    run, at = Run(), 0
    for tick in range(410):
        while at < len(arrivals) and arrivals[at][0] <= tick * 20:
            run.buffer.push(*packet(arrivals[at][1]))
            at += 1
        run.read()
    assert max(run.levels) <= MAX_LEVEL / 48 + 20
    assert longest_silence_ms(run.sound[: 390 * 960]) < 100
    assert run.buffer.counts.concealed < 60


@pytest.mark.parametrize("ppm", [-300, 300])
def test_clock_drift_never_becomes_delay(ppm: int) -> None:
    run, sent = Run(), 0
    for tick in range(15_000):  # five minutes
        while sent * 20 * (1 - ppm * 1e-6) <= tick * 20:
            run.buffer.push(*packet(sent))
            sent += 1
        run.read()
    levels = np.array(run.levels[500:])
    assert levels.max() < 110
    assert run.buffer.counts.concealed < 30


def test_a_burst_is_bounded_and_drained() -> None:
    run = Run()
    for number in range(200):
        if number < 50 or number >= 100:
            run.buffer.push(*packet(number))
        if number == 100:
            for late in range(50, 100):
                run.buffer.push(*packet(late))
        run.read()
        assert run.levels[-1] <= MAX_LEVEL / 48 + 20
    for number in range(200, 500):
        run.buffer.push(*packet(number))
        run.read()
    assert np.mean(run.levels[-50:]) < 150


def test_silence_when_nothing_comes_and_life_after_it() -> None:
    run = Run()
    for number in range(50):
        run.buffer.push(*packet(number))
        run.read()
    for _ in range(100):
        run.read()
    assert not run.sound[-960 * 50 :].any()
    for number in range(1000, 1050):  # a long pause in time stamps as well
        run.buffer.push(*packet(number))
        run.read()
    assert np.abs(run.sound[-960 * 20 :]).max() > 0.4


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=4)), max_size=60))
def test_no_packet_can_break_it(packets: list[tuple[int, bytes]]) -> None:
    buffer = MicBuffer(numbered)
    for timestamp, payload in packets:
        buffer.push(timestamp, payload)
        out = buffer.read(960)
        assert out.shape == (960,)
        assert np.isfinite(out).all()


def test_opus_there_and_back() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    pieces = (tone * 32767).astype(np.int16).reshape(-1, 960)
    packets = [p for i, piece in enumerate(pieces) for p in encoder.encode(piece, i * 960)]
    assert [p.pts for p in packets] == [i * 960 for i in range(len(packets))]
    sound = np.concatenate([decoder.decode(p.data) for p in packets])
    spectrum = np.abs(np.fft.rfft(sound[9600:33_600]))
    assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=4)
    assert 0.4 < np.abs(sound[9600:]).max() < 0.6
    assert len(decoder.decode(b"\xff\x00garbage")) % 1 == 0


def video(pts: int, *, key: bool = False) -> MediaPacket:
    return MediaPacket("vp8", b"\x10" + bytes(20), pts, 1 / FRAME_RATE, keyframe=key)


async def test_a_video_track_starts_with_a_key_frame_and_asks_for_one_after_overflow() -> None:
    asked: list[int] = []
    track = PacketTrack("video", lambda: asked.append(1), size=3)
    for pts in range(4):
        track.send(video(pts, key=pts == 2))
    assert [(await track.recv()).pts for _ in range(2)] == [2, 3]
    for pts in range(4, 9):
        track.send(video(pts))
    assert asked == [1]
    track.send(video(9, key=True))
    assert (await track.recv()).pts == 9
    track.stop()


@asynccontextmanager
async def client(mic: bool = False) -> AsyncIterator[RTCPeerConnection]:
    """A peer with an offer made, on loopback."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("audio", direction="sendrecv" if mic else "recvonly")
    peer.addTransceiver("video", direction="recvonly")
    with host_addresses(("127.0.0.1",)):
        await peer.setLocalDescription(await peer.createOffer())
    yield peer
    await peer.close()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[RTCPeerConnection, Peer, list[str]]]:
    asked: list[str] = []
    async with client() as viewer:
        peer = await Peer.answer(
            ViewerOffer(viewer.localDescription.sdp), settings=LOOPBACK, on_keyframe=asked.append
        )
        answer = RTCSessionDescription(sdp=peer.answer_sdp, type="answer")
        await viewer.setRemoteDescription(answer)
        async with asyncio.timeout(10):
            await peer.wait_connected()
        yield viewer, peer, asked
        await peer.close()


async def test_only_the_given_addresses_are_offered() -> None:
    async with connected() as (_, peer, asked):
        lines = [line for line in peer.answer_sdp.splitlines() if "candidate:" in line]
        assert lines
        assert all(" 127.0.0.1 " in line for line in lines)
        assert asked == ["vp8"], "a joining viewer needs a key frame"


async def test_a_picture_loss_reaches_the_encoder() -> None:
    async with connected() as (viewer, peer, asked):
        track = viewer.getTransceivers()[1].receiver.track
        for pts in range(5):
            peer.send_video(video(pts, key=pts == 0))
            peer.send_audio(MediaPacket("opus", b"\xf8\xff\xfe", pts * 1920, 1 / FRAME_RATE / 1920,
                                        keyframe=True))  # fmt: skip
        with pytest.raises(TimeoutError):  # no valid picture ever comes of these
            await asyncio.wait_for(track.recv(), 0.3)
        async with asyncio.timeout(10):
            while len(asked) < 2:
                peer.send_video(video(5 + len(asked)))
                receiver = viewer.getTransceivers()[1].receiver
                for source in receiver.getSynchronizationSources():
                    await receiver._send_rtcp_pli(source.source)
                await asyncio.sleep(0.05)
        assert asked[1] == "vp8"


@pytest.mark.parametrize("data", [b"", b"\x80" * 40, b"\x16\xfe\xfd" + bytes(30), b"\x00"])
async def test_strange_datagrams_do_not_end_a_connection(data: bytes) -> None:
    async with connected() as (viewer, peer, _):
        line = next(x for x in peer.answer_sdp.splitlines() if "candidate:" in x).split()
        address = (line[4], int(line[5]))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for _ in range(5):
                stranger.sendto(data, address)
        # From the peer's own, checked address as well (only empty ones: others are its right).
        transport = viewer.getTransceivers()[0].receiver.transport.transport._connection
        if not data:
            pair = next(iter(transport._nominated.values()))
            pair.protocol.transport.sendto(b"", address)
        await asyncio.sleep(0.3)
        assert peer.connected
        assert viewer.connectionState == "connected"


@pytest.mark.parametrize(
    "sdp",
    ["", "nonsense", "v=0\r\n", "v=0\r\no=- 0 0 IN IP4 0\r\ns=-\r\nt=0 0\r\nm=audio 9 X 0\r\n"],
)
async def test_offers_that_are_none_leave_nothing_behind(sdp: str) -> None:
    before = len(asyncio.all_tasks())
    with pytest.raises(BadOffer):
        offer = ViewerOffer(sdp, want_mic=True)
        await Peer.answer(offer, settings=LOOPBACK, on_keyframe=lambda codec: None)
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) == before


async def test_closing_is_quick_and_complete() -> None:
    before = len(asyncio.all_tasks())
    async with connected():
        pass
    await asyncio.sleep(0.2)
    assert len(asyncio.all_tasks()) == before


async def test_a_viewer_that_vanishes_without_a_word_is_noticed() -> None:
    async with connected() as (viewer, peer, _):
        transport = viewer.getTransceivers()[0].receiver.transport.transport
        for protocol in transport._connection._protocols:
            protocol.transport.abort()
        async with asyncio.timeout(8):
            await peer.wait_closed()


def test_ice_servers_are_read_strictly() -> None:
    server = ice_server("turn:ann:secret@turn.example:5349")
    assert (server.urls, server.username, server.credential) == (
        "turn:turn.example:5349", "ann", "secret",
    )  # fmt: skip
    with pytest.raises(ValueError, match="stun:host:port"):
        ice_server("http://example.org")
