"""A real headless Chromium, a real server, a fake microphone that speaks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Page

from benchmarks.sounds import beeps, voice, write_wav
from tests.peers.browser import browser_page, picture_shown, probe
from tests.peers.real_server import RealServer

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three seconds of vowels, one of rest, again and again."""
    path = tmp_path_factory.mktemp("sound") / "voice.wav"
    write_wav(path, voice(24))
    yield path


async def ready(page: Page) -> None:
    await picture_shown(page)
    await page.wait_for_selector("body[data-state=ready]")


async def go_live(page: Page) -> None:
    await ready(page)
    await probe(page, "start()")
    await page.click("#go-live")
    await page.wait_for_selector("body[data-state=live]")
    await probe(page, "startMic()")


async def mouth_and_sound(page: Page, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Per frame: how much the mouth's pixels change, and how loud it is then."""
    await page.evaluate(
        "() => { window.__probe.region = [48, 70, 26, 22]; window.__probe.frames.length = 0; }"
    )
    await asyncio.sleep(seconds)
    frames = [f for f in await probe(page, "frames") if f["mouth"]]
    levels = np.array(await probe(page, "levels"), float)
    pixels = np.array([f["mouth"] for f in frames], float).reshape(len(frames), -1, 4)[..., :3]
    change = np.abs(np.diff(pixels, axis=0)).mean((1, 2))
    times = np.array([f["time"] for f in frames])
    # The loudness around each frame: what was heard within 150 ms of it.
    near = [levels[np.abs(levels[:, 0] - t) < 150, 1] for t in times[1:]]
    loud = np.array([values.max() if len(values) else 0.0 for values in near])
    return change, loud


async def test_the_mouth_moves_with_the_voice_and_rests_in_silence(
    lite_server: RealServer, speech: Path
) -> None:
    async with browser_page(lite_server.url + "/", microphone=speech) as page:
        await go_live(page)
        await page.locator("#motion-scale").press("Home")  # the head is still: lips move alone
        await asyncio.sleep(2)
        change, loud = await mouth_and_sound(page, 12)
        assert (loud > 0.02).mean() > 0.3, "the voice came back"
        talking, resting = change[loud > 0.02], change[loud < 0.002]
        assert len(resting) > 20
        assert np.median(talking) > 10 * np.median(resting)


async def test_sound_and_picture_of_one_instant_arrive_together(
    testcard_server: RealServer, tmp_path: Path
) -> None:
    microphone = tmp_path / "beeps.wav"
    write_wav(microphone, beeps(30))
    async with browser_page(testcard_server.url + "/", microphone=microphone) as page:
        await go_live(page)
        await asyncio.sleep(16)
        sounds = [heard for _, heard in await probe(page, "soundOnsets")]
        frames = await probe(page, "frames")
    readable = [f["pts"] for f in frames if f["pts"] is not None]
    assert len(readable) > 0.9 * len(frames)
    assert all(later > earlier for earlier, later in itertools.pairwise(readable))
    begins = [b["time"] for a, b in itertools.pairwise(frames)
              if b["flash"] and not a["flash"]]  # fmt: skip
    skews = [min((b - s for b in begins), key=abs) for s in sounds[5:]]
    assert len(skews) >= 5
    # WebAudio's tap and the settling browser cost some; drift or a lost delay cost far more.
    assert abs(float(np.median(skews))) < 150


async def test_reload_comes_back_to_the_same_session(
    testcard_server: RealServer, speech: Path
) -> None:
    async with browser_page(testcard_server.url + "/", microphone=speech) as page:
        await ready(page)
        session = await page.evaluate("sessionStorage.session")
        await page.reload()
        await ready(page)
        assert await page.evaluate("sessionStorage.session") == session


async def test_a_refused_microphone_is_explained(testcard_server: RealServer) -> None:
    async with browser_page(testcard_server.url + "/", refuse=True) as page:
        await ready(page)
        await page.click("#go-live")
        await page.wait_for_selector("#message:not([hidden])")
        assert "microphone" in (await page.inner_text("#message")).lower()
        assert await page.get_attribute("body", "data-state") == "ready"


async def test_typed_text_is_spoken_and_heard(lite_server: RealServer) -> None:
    pytest.importorskip("espeakng_loader", reason="the embedded voice is not installed")
    async with browser_page(lite_server.url + "/") as page:
        await ready(page)
        await probe(page, "start()")
        await page.fill("#say-text", "Hello! It is a pleasure to meet you.")
        await page.click("#say-button")
        await page.wait_for_selector("body[data-source=tts]")
        await page.wait_for_function("window.__probe.levels.some(([, rms]) => rms > 0.03)")
        assert not await page.evaluate("document.querySelector('#avatar').muted")
        await page.wait_for_selector("body[data-source=idle]", timeout=20_000)


async def test_what_is_said_is_shown_while_it_is_heard(testcard_server: RealServer) -> None:
    pytest.importorskip("espeakng_loader", reason="the embedded voice is not installed")
    async with browser_page(testcard_server.url + "/") as studio:
        await ready(studio)
        session = await studio.evaluate("sessionStorage.session")
        address = f"{testcard_server.url}/obs?session={session}&captions=1"
        async with browser_page(address) as obs:
            await picture_shown(obs)
            assert not await obs.is_visible("#caption")
            await studio.fill("#say-text", "First this one. Then that one!")
            await studio.click("#say-button")
            for page in (studio, obs):
                await page.wait_for_function(
                    "document.querySelector('#caption').textContent === 'First this one.'"
                )
                assert await page.is_visible("#caption")
            for page in (studio, obs):
                await page.wait_for_function(
                    "document.querySelector('#caption').textContent === 'Then that one!'"
                )
            for page in (studio, obs):
                await page.wait_for_function(
                    "document.querySelector('#caption').textContent === ''", timeout=4000
                )
            assert not await obs.is_visible("#caption")


async def test_an_expression_chosen_is_kept(lite_server: RealServer) -> None:
    async with browser_page(lite_server.url + "/") as page:
        await ready(page)
        await page.click(".choice label:has([value=happy])")
        await page.wait_for_selector(".choice [value=happy]:checked")
        await page.click("#language")
        await page.wait_for_selector(".choice [value=happy]:checked")
        await page.reload()  # the server remembers
        await ready(page)
        await page.wait_for_selector(".choice [value=happy]:checked")


async def test_the_microphones_switches_are_kept(testcard_server: RealServer) -> None:
    pytest.importorskip("webrtc_noise_gain", reason="noise suppression is not installed")
    async with browser_page(testcard_server.url + "/") as page:
        await ready(page)
        names = ("noise_suppression", "voice_gate", "auto_gain", "barge_in")
        for name in names:
            await page.check(f".switch [name={name}]")
        await page.wait_for_timeout(500)
        await page.reload()  # the server remembers
        await ready(page)
        for name in names:
            await page.wait_for_selector(f".switch [name={name}]:checked")
        await page.uncheck(".switch [name=barge_in]")
        assert await page.is_hidden("#message")


async def test_the_obs_page_plays_by_itself_and_comes_back(
    testcard_server: RealServer, speech: Path
) -> None:
    async with browser_page(testcard_server.url + "/", microphone=speech) as studio:
        await ready(studio)
        session = await studio.evaluate("sessionStorage.session")
        async with browser_page(f"{testcard_server.url}/obs?session={session}") as obs:
            await picture_shown(obs)
            assert await obs.evaluate("!document.querySelector('#avatar').paused")
            assert await obs.evaluate("document.body.innerText") == ""
            await obs.evaluate("window.__peer.close()")
            await obs.wait_for_selector("body[data-state=connecting]", timeout=20_000)
            await obs.wait_for_selector("body[data-state=live]", timeout=20_000)


async def test_two_sessions_do_not_hear_each_other(
    testcard_server: RealServer, tmp_path: Path
) -> None:
    tones = {}
    for hz in (440.0, 1200.0):
        tones[hz] = tmp_path / f"{hz:g}.wav"
        write_wav(tones[hz], 0.4 * np.sin(2 * np.pi * hz * np.arange(480_000) / 48_000))

    async def strongest_hz(microphone: Path) -> float:
        async with browser_page(testcard_server.url + "/", microphone=microphone) as page:
            await go_live(page)
            await asyncio.sleep(4)
            return float(
                await page.evaluate(
                    """async () => {
                      const { context } = window.__probe;
                      const analyser = new AnalyserNode(context, { fftSize: 8192 });
                      const stream = document.querySelector("#avatar").srcObject;
                      context.createMediaStreamSource(stream).connect(analyser);
                      await new Promise((resolve) => setTimeout(resolve, 1000));
                      const bins = new Float32Array(analyser.frequencyBinCount);
                      analyser.getFloatFrequencyData(bins);
                      return bins.indexOf(Math.max(...bins)) * context.sampleRate / 8192;
                    }"""
                )
            )

    heard = await asyncio.gather(*(strongest_hz(path) for path in tones.values()))
    assert heard == pytest.approx(list(tones), abs=40)
