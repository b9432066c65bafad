"""The studio page's keys, outputs and links, in a real browser."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Page

from benchmarks.sounds import beeps, write_wav
from sonic_stream.avatars import FOLDER
from tests.peers.browser import browser_page, picture_shown
from tests.peers.real_server import RealServer, real_server

pytestmark = pytest.mark.browser


async def ready(page: Page) -> None:
    await picture_shown(page)
    await page.wait_for_selector("body[data-state=ready]")


async def offset_shown(page: Page, text: str) -> None:
    await page.wait_for_function(
        f"document.querySelector('#offset').previousSibling.textContent === '{text}'"
    )


async def test_keys_command_unless_one_types(testcard_server: RealServer) -> None:
    async with browser_page(testcard_server.url + "/") as page:
        await ready(page)
        await page.keyboard.press("2")
        await page.wait_for_selector("[data-portrait=nia][aria-pressed=true]")
        await page.keyboard.press("]")
        await page.keyboard.press("]")
        await page.keyboard.press("{")
        await offset_shown(page, "19 ms later")
        await page.fill("#say-text", "")
        await page.focus("#say-text")
        await page.keyboard.type("3 [r]")
        assert await page.input_value("#say-text") == "3 [r]"
        await offset_shown(page, "19 ms later")
        assert await page.get_attribute("#record", "aria-pressed") == "false"
        await page.evaluate("document.activeElement.blur()")
        await page.keyboard.press("?")
        assert await page.is_visible("#help")
        await page.keyboard.press("3")  # nothing behind an open card
        await page.keyboard.press("Escape")
        assert not await page.is_visible("#help")
        assert await page.get_attribute("[data-portrait=nia]", "aria-pressed") == "true"


async def test_a_picture_that_is_sent_twice_is_one_portrait(testcard_server: RealServer) -> None:
    async with browser_page(testcard_server.url + "/") as page:
        await ready(page)
        portraits, picture = page.locator("[data-portrait]"), str(FOLDER / "nia" / "portrait.webp")
        before = await portraits.count()
        for _ in range(2):
            async with page.expect_response("**/api/portraits?*", timeout=20_000):
                await page.set_input_files("#portrait-upload", picture)
            looking = "document.querySelector('#report').textContent.endsWith('…')"
            await page.wait_for_function(f"!{looking}")
            await page.wait_for_selector("[data-portrait]:nth-child(4)[aria-pressed=true]")
        assert await portraits.count() == before + 1


async def test_a_file_that_is_chosen_is_sent_and_played(
    testcard_server: RealServer, tmp_path: Path
) -> None:
    write_wav(tmp_path / "beeps.wav", beeps(30))
    async with browser_page(testcard_server.url + "/") as page:
        await ready(page)
        await page.set_input_files("#file-input", str(tmp_path / "beeps.wav"))
        async with asyncio.timeout(15):
            while "file" not in str(await asyncio.to_thread(testcard_server.sessions)):
                await asyncio.sleep(0.1)


async def test_a_recording_begins_ends_and_is_linked(tmp_path: Path) -> None:
    config = {"cache": str(tmp_path), "recordings": str(tmp_path / "recordings")}
    with real_server(engine={"name": "testcard", "size_px": 256}, paths=config) as server:
        async with browser_page(server.url + "/") as page:
            await ready(page)
            await page.click("#outputs summary")
            await page.click("#record")
            await page.wait_for_selector("#output-list li[data-state=live]")
            await page.fill("#output-list input", "120")
            await page.keyboard.press("Enter")
            await page.evaluate("document.activeElement.blur()")
            await asyncio.sleep(1.5)
            assert await page.input_value("#output-list input") == "120"
            await page.click("#record")
            link = await page.wait_for_selector("#recorded a")
            assert link is not None
            assert (await link.inner_text()).endswith(".mp4")
            assert await page.locator("#output-list li").count() == 0
    assert len(list((tmp_path / "recordings").glob("*.mp4"))) == 1


async def test_an_output_that_fails_says_why(testcard_server: RealServer) -> None:
    async with browser_page(testcard_server.url + "/") as page:
        await ready(page)
        await page.click("#outputs summary")
        await page.fill("#output-form [name=address]", "rtmp://127.0.0.1:9/live/key")
        await page.click("#output-form button")
        await page.wait_for_selector("#output-list li[data-state=retrying]")
        assert "key" not in await page.inner_text("#output-list"), "the key is a secret"
        await page.click("#output-list button")
        await page.wait_for_selector("#output-list li", state="detached")


async def test_a_link_takes_over_a_session_and_hides_its_token() -> None:
    main = {"id": "main", "token": "correct-horse-battery", "portrait": "theo"}
    engine = {"name": "testcard", "size_px": 128}
    with real_server(engine=engine, sessions=[main]) as server:
        async with browser_page(f"{server.url}/#session=main&token={main['token']}") as page:
            await ready(page)
            assert await page.evaluate("sessionStorage.session") == "main"
            assert "token" not in page.url
            assert await page.get_attribute("[data-portrait=theo]", "aria-pressed") == "true"


async def test_the_calibration_page_measures_and_compensates() -> None:
    """What is measured here is near zero: Chromium aligns by itself. An offset given to this
    viewer is seen by the same meter, within what the pictures' rate and the load leave open."""
    with real_server(engine={"name": "testcard", "size_px": 256}) as server:
        async with browser_page(server.url + "/calibrate") as page:
            await ready(page)
            await page.click("#start")
            await page.wait_for_selector("#figure[data-skew]:not([data-skew=''])", timeout=60_000)
            first = float(await page.get_attribute("#figure", "data-skew") or "nan")
            assert abs(first) < 80
            await page.click("#apply")
            applied = int(await page.evaluate("localStorage.offset_ms"))
            assert applied == pytest.approx(-first, abs=25)
            await page.fill("#profile-name", "Here")
            await page.click("#profile button")
            await page.wait_for_function("document.querySelector('#profiles').textContent")
            assert "Here" in await page.inner_text("#profiles")
