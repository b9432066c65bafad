"""The web component on a page of another site, as docs/embed.md shows it."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from playwright.async_api import Page

from tests.peers.browser import browser_page
from tests.peers.real_server import RealServer, real_server

pytestmark = pytest.mark.browser

DOCUMENT = Path(__file__).parents[2] / "docs" / "embed.md"
SESSION = {"id": "main", "token": "correct-horse-battery"}
LOG = """
<script>
  window.heard = [];
  for (const name of ["live", "speaking", "caption", "error"])
    document.querySelector("live-avatar").addEventListener(name, (event) =>
      heard.push({ name, ...event.detail }));
</script>
"""


def example(server: RealServer) -> str:
    """The page in the document, on the server of this test."""
    text = DOCUMENT.read_text("utf-8")
    found = re.search(r"```html\n(.*?)```", text, re.DOTALL)
    assert found is not None
    assert "https://avatar.example" in found[1]
    return found[1].replace("https://avatar.example", server.url)


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """Another site's web server, on loopback; its origin."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def shop(folder: Path, *, allowed: bool = True) -> Iterator[tuple[RealServer, str]]:
    with site(folder) as origin:
        with real_server(
            engine={"name": "testcard", "size_px": 128},
            server={"allowed_origins": [origin] if allowed else []},
            sessions=[SESSION],
        ) as server:
            yield server, origin


async def heard(page: Page, name: str, timeout_s: float = 20) -> dict[str, object]:
    await page.wait_for_function(
        f"window.heard?.some((event) => event.name === '{name}')", timeout=1000 * timeout_s
    )
    event: dict[str, object] = await page.evaluate(
        f"window.heard.findLast((event) => event.name === '{name}')"
    )
    return event


async def test_the_example_of_the_document_shows_the_avatar(tmp_path: Path) -> None:
    with shop(tmp_path) as (server, origin):
        (tmp_path / "index.html").write_text(f"<!doctype html>{example(server)}{LOG}")
        async with browser_page(origin) as page:
            assert (await heard(page, "live"))["session"] == "main"
            moving = "document.querySelector('live-avatar').video"
            assert await page.evaluate(f"!{moving}.paused && {moving}.videoWidth === 128")
            button = page.locator("live-avatar button")
            assert await button.get_attribute("aria-pressed") == "true"
            await button.click()
            assert await page.evaluate(f"{moving}.muted")
            assert await button.get_attribute("aria-pressed") == "false"


async def test_only_the_token_commands_and_events_tell(tmp_path: Path) -> None:
    with shop(tmp_path) as (server, origin):
        (tmp_path / "index.html").write_text(f"<!doctype html>{example(server)}{LOG}")
        async with browser_page(origin) as page:
            await heard(page, "live")
            avatar = "document.querySelector('live-avatar')"
            refused = await page.evaluate(f"{avatar}.interrupt().catch((error) => error.message)")
            assert "token" in refused
            await page.evaluate(f"{avatar}.token = '{SESSION['token']}'")
            state = await page.evaluate(f"{avatar}.command('portrait', {{ id: 'nia' }})")
            assert state["portrait"] == "nia"
            pytest.importorskip("espeakng_loader", reason="the embedded voice is not installed")
            await page.evaluate(f"{avatar}.say('Good morning.')")
            await page.wait_for_function(
                "heard.some((event) => event.name === 'speaking' && event.speaking)"
            )


async def test_it_comes_back_and_leaves_nothing_when_removed(tmp_path: Path) -> None:
    with shop(tmp_path) as (server, origin):
        (tmp_path / "index.html").write_text(f"<!doctype html>{example(server)}{LOG}")
        async with browser_page(origin) as page:
            await heard(page, "live")
            await page.evaluate("heard.length = 0; window.__peer.close()")
            await heard(page, "live", 30)
            await page.evaluate("window.avatar = document.querySelector('live-avatar')")
            await page.evaluate("avatar.remove()")
            await page.wait_for_function("window.__peer.connectionState === 'closed'")
            await page.wait_for_function("avatar.signalling.ended")
    assert server.process.returncode == 0


async def test_a_site_that_is_not_allowed_gets_nothing(tmp_path: Path) -> None:
    with shop(tmp_path, allowed=False) as (server, origin):
        (tmp_path / "index.html").write_text(f"<!doctype html>{example(server)}{LOG}")
        async with browser_page(origin) as page:
            await page.wait_for_timeout(1500)
            assert not await page.evaluate("Boolean(customElements.get('live-avatar'))")


async def test_only_the_person_is_on_the_page(tmp_path: Path) -> None:
    """`transparent`: the page shows through at the corners, and not in the middle."""
    with site(tmp_path) as origin:
        with real_server(
            engine={"size_px": 256}, server={"allowed_origins": [origin]}, sessions=[SESSION]
        ) as server:
            page_text = example(server).replace("controls captions", "transparent")
            (tmp_path / "index.html").write_text(f"<!doctype html>{page_text}{LOG}")
            async with browser_page(origin) as page:
                await heard(page, "live")
                alphas = await page.evaluate(
                    """() => new Promise((resolve) => {
                      const { video, canvas } = document.querySelector("live-avatar");
                      video.requestVideoFrameCallback(() => {
                        const copy = new OffscreenCanvas(canvas.width, canvas.height);
                        const pen = copy.getContext("2d");
                        pen.drawImage(canvas, 0, 0);
                        const at = (x, y) => pen.getImageData(
                          x * canvas.width, y * canvas.height, 1, 1).data[3];
                        resolve([at(0.03, 0.03), at(0.97, 0.03), at(0.5, 0.6)]);
                      });
                    })"""
                )
                assert alphas[0] <= 2
                assert alphas[1] <= 2
                assert alphas[2] >= 250
