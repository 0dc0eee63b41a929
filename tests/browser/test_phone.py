"""The phone's page in a real browser with a microphone: what is said into it is heard, and what the agent says is played."""

import itertools
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from app.adapters.data_folder import Running
from app.sim.model_sound import samples
from app.sim.voices import SILENT_FRAME, say
from tests.browser.stage import BROWSER, PATIENCE_MS, launch, record, watched

pytestmark = BROWSER

WORDS = "Hi, I would like to book an appointment please."


@pytest.fixture
async def caller(running: Running, tmp_path: Path) -> AsyncIterator[Page]:
    """The phone's page; whoever sits there is silent for three seconds, then says WORDS."""
    recording = tmp_path / "microphone.wav"
    record(recording, SILENT_FRAME * 150 + say(WORDS, "anna") + SILENT_FRAME * 150)
    async with async_playwright() as playwright:
        browser = await launch(playwright, recording)
        try:
            async with watched(await browser.new_context()) as it:
                await it.page.goto(f"{running.url}/phone")
                yield it.page
        finally:
            await browser.close()


@pytest.fixture
async def page(running: Running, context: BrowserContext) -> AsyncIterator[Page]:
    """The phone's page, of somebody whose microphone is not asked for."""
    async with watched(context) as it:
        await it.page.goto(f"{running.url}/phone")
        yield it.page


async def test_a_caller_is_heard_cuts_in_says_sentences_presses_keys_and_hangs_up(caller: Page) -> None:
    page = caller
    await page.uncheck("#clean")  # a tone of speech that never changes would be taken for noise
    await page.select_option("[name=mode]", "receptionist")
    await page.fill("[name=caller]", "+14155550133")
    await page.click("#dial")
    talk, phone = page.locator("#talk"), page.locator("#phone")
    await expect(page.locator("#hang-up")).to_be_focused(timeout=PATIENCE_MS)
    await expect(talk).to_contain_text("greets after", timeout=PATIENCE_MS)
    # The greeting lasts five seconds, and the microphone speaks after three: it is heard, and the rest of the greeting is not.
    await expect(talk.locator(".unheard")).to_be_visible(timeout=PATIENCE_MS)
    await expect(talk.locator(".who-caller").first).to_be_visible(timeout=PATIENCE_MS)
    await expect(talk).to_contain_text("answers after", timeout=PATIENCE_MS)
    assert float(await phone.get_attribute("data-loudest") or 0) > 0.05, "nothing was played"
    await page.click("#mute")
    await expect(page.locator("#mute")).to_have_attribute("aria-pressed", "true")
    await page.click(f'.sayings[data-caller="booking"] [data-say="{WORDS}"]')
    await expect(talk).to_contain_text("What day would suit you?", timeout=PATIENCE_MS)
    await page.keyboard.press("5")
    await page.click('[data-key="#"]')
    keys = talk.locator("li", has=page.get_by_text("Key", exact=True))
    await expect(keys).to_have_count(2, timeout=PATIENCE_MS)
    await page.click("#hang-up")
    await expect(page.locator("#dial")).to_be_focused(timeout=PATIENCE_MS)
    await expect(phone).to_have_attribute("data-ended", "caller")
    await expect(talk).to_contain_text("you hung up")
    await expect(page.locator("#wrong")).to_be_empty()


RENDER = """async ({url, rate, hertz, seconds}) => {
  const context = new OfflineAudioContext(1, rate * seconds, rate);
  await context.audioWorklet.addModule(url);
  const node = new AudioWorkletNode(context, "microphone", {numberOfOutputs: 1});
  const frames = [];
  const enough = new Promise((done) => {
    node.port.onmessage = ({data}) => {
      frames.push(Array.from(data.frame));
      if (frames.length === Math.floor(seconds * 50) - 1) done();
    };
  });
  const tone = new OscillatorNode(context, {frequency: hertz});
  tone.connect(new GainNode(context, {gain: 0.5})).connect(node).connect(context.destination);
  tone.start();
  await context.startRendering();
  await enough;
  return frames;
}"""


async def _microphone(page: Page, rate: int, hertz: int) -> list[int]:
    """What the microphone makes of a second of a tone at half of full scale: 16-bit samples at 8 kHz, less the first 100 ms."""
    worklet = await page.locator("#phone").get_attribute("data-worklet")
    frames: Any = await page.evaluate(RENDER, {"url": worklet, "rate": rate, "hertz": hertz, "seconds": 1})
    assert {len(frame) for frame in frames} == {160}
    return samples(b"".join(bytes(frame) for frame in frames))[800:]


def _rms(heard: list[int]) -> float:
    return math.sqrt(sum(sample * sample for sample in heard) / len(heard))


async def test_a_microphone_of_any_rate_gives_its_tones_at_8_khz_and_no_others(page: Page) -> None:
    for rate in (16_000, 44_100, 48_000, 96_000):
        heard = await _microphone(page, rate, 1000)
        assert _rms(heard) == pytest.approx(0.5 * 32_768 / math.sqrt(2), rel=0.05), rate
        rises = sum(a < 0 <= b for a, b in itertools.pairwise(heard))
        assert rises * 8000 / len(heard) == pytest.approx(1000, abs=5), rate
        # 6 kHz would come back as 2 kHz
        assert _rms(await _microphone(page, rate, 6000)) < 30, rate


PLAY = """async ({url, frames}) => {
  const context = new OfflineAudioContext(1, 48000, 48000);
  await context.audioWorklet.addModule(url);
  const node = new AudioWorkletNode(context, "earpiece", {numberOfInputs: 0, outputChannelCount: [1]});
  const news = new Promise((done) => { node.port.onmessage = ({data}) => { if (data.underruns) done(data); }; });
  node.port.postMessage({live: true});
  for (let n = 0; n < frames; n += 1) node.port.postMessage({frame: new Uint8Array(160).fill(0x9f)});
  node.connect(context.destination);
  await new Promise((done) => setTimeout(done, 50));
  const played = (await context.startRendering()).getChannelData(0);
  const loud = played.reduce((sum, sample) => sum + (Math.abs(sample) > 0.01), 0);
  return {ms: loud / 48, underruns: frames > 2 ? (await news).underruns : 0};
}"""


async def test_the_earpiece_keeps_50_ms_back_and_counts_where_it_ran_dry(page: Page) -> None:
    worklet = await page.locator("#phone").get_attribute("data-worklet")
    too_few: Any = await page.evaluate(PLAY, {"url": worklet, "frames": 2})
    assert too_few == {"ms": 0, "underruns": 0}
    enough: Any = await page.evaluate(PLAY, {"url": worklet, "frames": 6})
    assert enough["ms"] == pytest.approx(120, abs=8)
    assert enough["underruns"] == 1
