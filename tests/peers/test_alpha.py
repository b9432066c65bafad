"""Transparency through the real server: two rungs at once, refusals, a browser's pixels."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator

import numpy as np
import pytest
from aiortc import RTCPeerConnection
from PIL import Image

from avatar_server.worker.stacking import unstacked
from benchmarks.obs_alpha import NO_WEBGL, Truth, compare, obs_page, seen
from tests.peers.clients import accept, heartbeat, studio, viewer
from tests.peers.real_server import RealServer, real_server
from tests.peers.test_control import post

SIZE = 256


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    engine = {"size_px": SIZE, "portrait": "nia"}
    with real_server(engine=engine, limits={"sessions": 10}) as running:
        yield running


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Truth.of("nia", SIZE)


async def pictures(peer: RTCPeerConnection, count: int) -> list[np.ndarray]:
    """The next pictures that a viewer decodes, RGB."""
    track = next(t.receiver.track for t in peer.getTransceivers() if t.kind == "video")
    async with asyncio.timeout(20):
        return [(await track.recv()).to_ndarray(format="rgb24") for _ in range(count)]


async def watch(
    server: RealServer, session: str, peer: RTCPeerConnection, sdp: str, **query: str
) -> None:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    url = f"{server.url}/api/sessions/{session}/whep?{asked}"
    status, answer = await asyncio.to_thread(
        post, url, sdp.encode(), **{"Content-Type": "application/sdp"}
    )
    assert status == 201, answer
    await accept(peer, answer.decode())


@pytest.mark.parametrize("codec", ["vp8", "h264"])
async def test_plain_and_transparent_viewers_of_one_session(
    server: RealServer, truth: Truth, codec: str
) -> None:
    async with studio(server.url) as (client, welcome), viewer() as plain, viewer(codec) as clear:
        await client.send("set", background="#00c81e", motion_scale=0)
        await client.expect("state")
        session = welcome["session"]
        async with heartbeat(client):
            await watch(server, session, *plain)
            await watch(server, session, *clear, alpha="1")
            seen_plain, seen_clear = await asyncio.gather(
                pictures(plain[0], 12), pictures(clear[0], 12)
            )
    corner = seen_plain[-1][12:40, 12:40].reshape(-1, 3).mean(0)
    assert seen_plain[-1].shape == (SIZE, SIZE, 3)
    assert np.abs(corner - (0, 200, 30)).max() < 12
    assert seen_clear[-1].shape == (2 * SIZE, SIZE, 3)
    rgba = unstacked(seen_clear[-1])
    assert np.abs(rgba[..., 3] - truth.alpha).mean() < 2
    edge = (truth.alpha > 64) & (truth.alpha < 230)
    fringe = rgba[..., :3][edge].astype(float) - truth.colours[edge]
    assert np.abs(fringe.mean(0)).max() < 10, "nothing of the green"


async def test_backgrounds_are_refused_where_there_is_no_matte(
    testcard_server: RealServer,
) -> None:
    async with studio(testcard_server.url) as (client, welcome):
        assert not welcome["portraits"][0]["matte"]
        await client.send("set", background="none")
        error = await client.expect("error")
        assert error["code"] == "no_matte"
        assert "must be kept" in error["message"]
        await client.send("set", background="keep", smoothing=0.2)
        state = await client.expect("state")
        while state["settings"]["smoothing"] != 0.2:
            state = await client.expect("state")
        assert state["settings"]["background"] == "keep"


async def test_an_image_is_uploaded_and_shown(server: RealServer) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (400, 300), (200, 40, 160)).save(buffer, "PNG")
    url = server.url + "/api/backgrounds"
    async with (
        studio(server.url) as (client, welcome),
        heartbeat(client),
        viewer() as (peer, sdp),
    ):
        key = {"Authorization": f"Bearer {welcome['resume']}"}
        status, body = await asyncio.to_thread(post, url, buffer.getvalue(), **key)
        assert status == 201
        status, refusal = await asyncio.to_thread(post, url, b"GIF89a", **key)
        assert status == 422
        assert refusal["error"]["code"] == "bad_background"
        await client.send("set", background=f"image:{body['id']}")
        await watch(server, welcome["session"], peer, sdp)
        shown = (await pictures(peer, 15))[-1]
        assert np.abs(shown[10:40, 10:40].reshape(-1, 3).mean(0) - (200, 40, 160)).max() < 14
        await client.send("set", background="image:unknown")
        assert (await client.expect("error"))["code"] == "bad_background"


@pytest.mark.browser
@pytest.mark.parametrize("flags", [(), NO_WEBGL], ids=["webgl", "2d"])
async def test_the_page_is_transparent_to_the_pixel(
    server: RealServer, truth: Truth, flags: tuple[str, ...]
) -> None:
    async with obs_page(server, SIZE, flags=flags, motion_scale=0) as (page, _):
        drawn = await page.evaluate("document.querySelector('#cutout').dataset.drawnWith")
        assert drawn == ("2d" if flags else "webgl")
        figures = compare(await seen(page), truth)
    assert figures["obs_alpha_background_max"] <= 2
    assert figures["obs_alpha_inside_min"] >= 250
    assert figures["obs_alpha_edge_error"] < 6
    assert 0.6 < figures["obs_alpha_soft_share"] < 1.4, "hair is soft, and only hair"
    assert figures["obs_alpha_fringe"] < 10


@pytest.mark.browser
async def test_what_is_said_stands_in_the_picture(server: RealServer) -> None:
    pytest.importorskip("espeakng_loader", reason="the embedded voice is not installed")
    async with obs_page(server, SIZE, query="&captions=1") as (page, client):
        assert not await page.is_visible("#caption")
        await client.send("say", text="Good evening, everybody.")
        await page.wait_for_selector("#caption:has-text('Good evening')", timeout=15_000)
        await page.wait_for_selector("#caption", state="hidden", timeout=15_000)


@pytest.mark.browser
async def test_the_address_chooses_what_is_shown(server: RealServer) -> None:
    query = "&chroma=00ff00&size=128&crop=25,0,50,50"
    async with obs_page(server, SIZE, query=query, motion_scale=0) as (page, _):
        shown = await seen(page)
        assert tuple(shown[2, 2]) == (0, 255, 0, 255)
        person = np.argwhere(np.abs(shown[..., :3].astype(int) - (0, 255, 0)).max(-1) > 40)
        assert person.min(0).min() >= 95, "64 px of the picture in the middle of the window"
        assert person.max(0).max() < 161
    async with obs_page(server, SIZE, query="&alpha=0&mute=1", motion_scale=0) as (page, _):
        assert (await seen(page))[..., 3].min() == 255
        assert await page.evaluate("document.querySelector('#avatar').muted")
