"""Recordings in a real browser: it plays them, knows their length, and sees through the alpha."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import async_playwright

from avatar_server.sinks.mux import Muxer, MuxSettings
from avatar_server.worker.encoders import open_encoder
from sonic_stream.media import ByteArray
from tests.avatar_server.sinks.session import FPS
from tests.peers.browser import FLAGS, executable

SECONDS, SIZE = 3, 128
PLAY = """async (source) => {
  const video = document.createElement("video");
  video.muted = true;
  const seen = new Promise((done, fail) => {
    video.onended = done;
    video.onerror = () => fail(new Error(video.error.message));
  });
  video.src = source;
  await video.play();
  await seen;
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  const pixel = (x, y) => [...context.getImageData(x, y, 1, 1).data];
  return { duration: video.duration, width: video.videoWidth,
           left: pixel(8, 64), right: pixel(120, 64) };
}"""


def half_transparent() -> ByteArray:
    """Orange; the left half is not there."""
    alpha = np.where(np.arange(SIZE) < SIZE // 2, 0, 255).astype(np.uint8)
    orange = np.full((SIZE, SIZE, 3), (220, 120, 30), np.uint8)
    return np.dstack([orange, np.tile(alpha, (SIZE, 1))])


def write(path: Path, codec: str) -> None:
    encoder = open_encoder(codec, SIZE, FPS, 500_000)
    picture = half_transparent()
    picture = picture if codec.endswith("+alpha") else np.ascontiguousarray(picture[..., :3])
    muxer = Muxer(MuxSettings(path.suffix[1:], str(path), codec, FPS, SIZE, 0, captions=True))
    for pts in range(25 * SECONDS):
        packet = encoder.encode(picture, pts, keyframe=pts == 0)
        assert packet is not None
        muxer.sound(np.zeros(1920, np.int16), pts * 1920)
        muxer.picture(packet.data, 3600 * pts, keyframe=packet.keyframe)
    muxer.close()


@pytest.mark.browser
@pytest.mark.parametrize(("name", "codec"), [("a.webm", "vp9+alpha"), ("a.mp4", "h264")])
async def test_a_browser_plays_it(name: str, codec: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write(path, codec)
    data = base64.b64encode(path.read_bytes()).decode()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        page = await browser.new_page()
        can = await page.evaluate("document.createElement('video').canPlayType('video/mp4')")
        if name.endswith("mp4") and not can:
            pytest.skip("this browser was built without H.264")
        seen = await page.evaluate(PLAY, f"data:video/{path.suffix[1:]};base64,{data}")
        await browser.close()
    assert seen["duration"] == pytest.approx(SECONDS, abs=0.15)
    assert seen["width"] == SIZE
    assert seen["right"] == pytest.approx([220, 120, 30, 255], abs=12)
    if name.endswith("webm"):
        assert seen["left"][3] <= 2
