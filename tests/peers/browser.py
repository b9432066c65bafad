"""A real headless Chromium with a fake microphone."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright

INSTRUMENT = Path(__file__).with_name("instrument.js")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-loopback-in-peer-connection",
    "--use-fake-device-for-media-stream",
]


def executable() -> str | None:
    """Debian's or the user's Chromium; None: Playwright's own."""
    return shutil.which("chromium") or shutil.which("google-chrome")


@asynccontextmanager
async def browser_page(
    url: str,
    *,
    microphone: Path | None = None,
    refuse: bool = False,
    gesture: bool = True,
    size: tuple[int, int] = (1280, 900),
    more_flags: tuple[str, ...] = (),
) -> AsyncIterator[Page]:
    """A page at `url` with the instrument in it. `refuse`: the microphone is not allowed;
    `gesture`: media may play without one (as in OBS)."""
    flags = [*FLAGS, *more_flags]
    if microphone is not None:
        flags.append(f"--use-file-for-fake-audio-capture={microphone}")
    if not refuse:
        flags.append("--use-fake-ui-for-media-stream")
    if gesture:
        flags.append("--autoplay-policy=no-user-gesture-required")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=flags)
        try:
            context = await browser.new_context(
                viewport={"width": size[0], "height": size[1]}, bypass_csp=True, permissions=[]
            )
            page = await context.new_page()
            await page.add_init_script(path=INSTRUMENT)
            await page.goto(url)
            yield page
        finally:
            await browser.close()


async def picture_shown(page: Page, timeout_s: float = 20.0) -> None:
    await page.wait_for_function(
        "document.querySelector('#avatar').videoWidth > 0", timeout=1000 * timeout_s
    )


async def video_stats(page: Page) -> dict[str, float]:
    """The browser's figures of the video that it receives."""
    figures: dict[str, float] = await page.evaluate(
        """async () => [...(await window.__peer.getStats()).values()]
          .find(({ type, kind }) => type === "inbound-rtp" && kind === "video")"""
    )
    return figures


async def probe(page: Page, expression: str) -> Any:
    return await page.evaluate(f"window.__probe.{expression}")
