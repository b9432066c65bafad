"""The transparent OBS page, pixel by pixel against the avatar's known matte.

    python -m benchmarks.obs_alpha --seconds 20 --json FILE

The avatar holds still (`motion_scale` 0), so that every pixel of a screenshot of the transparent
page has a true value: alpha and colour of the prepared portrait. What lies between is the real
path: renderer, video codec, WebRTC, the browser's decoder, the page's shader. Then it moves, and
the page's rate, the browser's delay (packet received to picture shown) and its CPU are measured,
the latter also without alpha. This Chromium has no GPU: WebGL runs on the processor.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from playwright.async_api import Page

from benchmarks.report import Figures, report
from sonic_stream.avatars import load_avatar
from sonic_stream.engine import load_engine
from sonic_stream.engines.lite.identity import Latents, restore
from tests.peers.browser import browser_page
from tests.peers.clients import Control, heartbeat, studio
from tests.peers.real_server import RealServer, real_server

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SETTLE_S = 3.0
NO_WEBGL = ("--disable-3d-apis",)
# Counts what is shown from now on, and for how long each picture was in the browser.
COUNT = """() => {
  const video = document.querySelector("#avatar");
  window.__shown = { count: 0, since: performance.now(), delays: [] };
  const step = (now, frame) => {
    window.__shown.count += 1;
    const delay = frame.expectedDisplayTime - frame.receiveTime;
    if (frame.receiveTime) window.__shown.delays.push(delay);
    video.requestVideoFrameCallback(step);
  };
  video.requestVideoFrameCallback(step);
}"""


@dataclass(frozen=True)
class Truth:
    """What the page should show: alpha [S, S] and colours [S, S, 3] of the avatar at rest."""

    alpha: np.ndarray
    colours: np.ndarray

    @classmethod
    def of(cls, avatar: str, size_px: int) -> Truth:
        engine = load_engine("lite", size_px=size_px)
        latents: Latents = restore(engine.prepare(load_avatar(avatar)))
        return cls(latents.matte.astype(float), latents.foreground.astype(float))


@asynccontextmanager
async def obs_page(
    server: RealServer,
    size_px: int,
    *,
    query: str = "",
    flags: tuple[str, ...] = (),
    **settings: object,
) -> AsyncIterator[tuple[Page, Control]]:
    """The page of a session with these settings, when it shows its first pictures, and the
    session's control. A heartbeat keeps the session."""
    async with studio(server.url) as (client, welcome):
        await client.send("set", **settings)

        url = f"{server.url}/obs?session={welcome['session']}{query}"
        async with (
            heartbeat(client),
            browser_page(url, size=(size_px, size_px), more_flags=flags) as page,
        ):
            await page.wait_for_function(
                "document.querySelector('#avatar').videoWidth > 0", timeout=20_000
            )
            await asyncio.sleep(SETTLE_S)
            yield page, client


async def seen(page: Page) -> np.ndarray:
    """The page's pixels, RGBA uint8 [H, W, 4], straight alpha."""
    picture = Image.open(io.BytesIO(await page.screenshot(omit_background=True)))
    return np.asarray(picture.convert("RGBA"))


def compare(shown: np.ndarray, truth: Truth) -> Figures:
    alpha, true = shown[..., 3].astype(float), truth.alpha
    away = cv2.dilate((true > 0).astype(np.uint8), np.ones((17, 17))) == 0
    inside = cv2.erode((true == 255).astype(np.uint8), np.ones((17, 17))) > 0
    soft = (true > 12) & (true < 243)
    near = cv2.dilate(soft.astype(np.uint8), np.ones((5, 5))) > 0
    edge = (true > 64) & (true < 230) & (alpha > 32)
    fringe = shown[..., :3].astype(float)[edge] - truth.colours[edge]
    return {
        "obs_alpha_background_max": int(alpha[away].max()),
        "obs_alpha_inside_min": int(alpha[inside].min()),
        "obs_alpha_edge_error": float(np.abs(alpha - true)[near].mean()),
        "obs_alpha_error": float(np.abs(alpha - true).mean()),
        "obs_alpha_soft_share": float(((alpha > 12) & (alpha < 243)).sum() / soft.sum()),
        "obs_alpha_fringe": float(np.abs(fringe.mean(0)).max()),
    }


def grounds(size: int) -> list[np.ndarray]:
    """A checkerboard, white, and something dark with a light."""
    y, x = np.mgrid[:size, :size]
    board = 205 - 45 * ((x // 24 + y // 24) % 2)[..., None] * np.ones(3)
    light = np.exp(-(((x / size - 0.8) / 0.5) ** 2) - ((y / size - 0.2) / 0.5) ** 2)[..., None]
    return [board, np.full((size, size, 3), 255.0), np.array([24, 26, 60]) + light * [190, 60, 90]]


def laid_over(shown: np.ndarray, ground: np.ndarray) -> np.ndarray:
    alpha = shown[..., 3:] / 255
    return np.round(shown[..., :3] * alpha + ground * (1 - alpha)).clip(0, 255).astype(np.uint8)


def browser_cpu_s() -> float:
    """CPU seconds so far of this process's Chromium, all of its processes."""
    parents: dict[int, int] = {}
    spent: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = stat.read_text().rsplit(")", 1)
        except OSError:
            continue
        process, values = int(stat.parent.name), fields.split()
        parents[process] = int(values[1])
        if "chrom" in name:
            spent[process] = (int(values[11]) + int(values[12])) / TICKS_PER_S

    def ours(process: int) -> bool:
        while process > 1 and process != os.getpid():
            process = parents.get(process, 0)
        return process == os.getpid()

    return sum(seconds for process, seconds in spent.items() if ours(process))


async def moving(page: Page, seconds: float) -> Figures:
    await page.evaluate(COUNT)
    before_cpu_s, before_s = browser_cpu_s(), time.monotonic()
    await asyncio.sleep(seconds)
    cores = (browser_cpu_s() - before_cpu_s) / (time.monotonic() - before_s)
    shown = await page.evaluate(
        "({ ...window.__shown, passed: performance.now() - window.__shown.since })"
    )
    return {
        "obs_fps": round(1000 * shown["count"] / shown["passed"], 2),
        "obs_latency_ms": round(float(np.median(shown["delays"])), 1) if shown["delays"] else None,
        "obs_page_cpu_cores": round(cores, 3),
    }


async def run(options: argparse.Namespace) -> Figures:
    truth = Truth.of(options.avatar, options.size)
    figures: Figures = {}
    with real_server(engine={"size_px": options.size, "portrait": options.avatar}) as server:
        async with obs_page(server, options.size, motion_scale=0) as (page, _):
            shown = await seen(page)
            drawn = await page.evaluate("document.querySelector('#cutout').dataset.drawnWith")
            figures |= {"obs_drawn_with": drawn} | compare(shown, truth)
            if options.picture:
                sheet = np.hstack([laid_over(shown, ground) for ground in grounds(options.size)])
                Image.fromarray(sheet).save(options.picture, quality=84, method=6)
        async with obs_page(server, options.size) as (page, _):
            figures |= await moving(page, options.seconds)
        async with obs_page(server, options.size, query="&alpha=0") as (page, _):
            plain = await moving(page, options.seconds)
            figures["obs_plain_page_cpu_cores"] = plain["obs_page_cpu_cores"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--avatar", default="nia")
    parser.add_argument("--picture", type=Path, help="the page over three backgrounds, as WebP")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = asyncio.run(run(options))
    report(f"Transparent OBS page, {options.size} px", figures, options.json)


if __name__ == "__main__":
    main()
