"""A real browser before the real server: how it is started, what its microphone hears, and what a page may not do unnoticed."""

import asyncio
import os
import shutil
import wave
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, CDPSession, Page, Playwright

from app.sim.model_sound import samples

CHROMIUM = os.environ.get("CHROMIUM_PATH") or shutil.which("chromium") or shutil.which("google-chrome")
BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="expected a browser at CHROMIUM_PATH, or chromium on the PATH"),
]
"""What every module here is marked with."""
FLAGS = (
    "--no-sandbox",  # root has no other way; only our own pages are opened
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
)
KEYLESS = dict.fromkeys(
    ("REALTIME_URL", "OPENAI_API_KEY", "TWILIO_AUTH_TOKEN", "TWILIO_ACCOUNT_SID", "OPERATOR_PASSWORD"), ""
)
"""A server without any key: the stand-in answers, and nobody has to log in here."""
PATIENCE_MS = 30_000

SHIFTS = """
window.shifts = {sum: 0, moved: []};
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue;
    window.shifts.sum += entry.value;
    window.shifts.moved.push(...entry.sources.map(({node}) => `${node?.nodeName}.${node?.className ?? ""}#${node?.id ?? ""}`));
  }
}).observe({type: "layout-shift", buffered: true});
"""
LOUDNESS = """
window.loudest = () => window.ears.map((ear) => {
  const heard = new Float32Array(ear.fftSize);
  ear.getFloatTimeDomainData(heard);
  return Math.sqrt(heard.reduce((sum, sample) => sum + sample * sample, 0) / heard.length);
}).reduce((a, b) => Math.max(a, b), 0);
window.ears = [];
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to === this.context.destination && !(this.context instanceof OfflineAudioContext)) {
    const ear = new AnalyserNode(this.context, {fftSize: 8192});
    connect.call(this, ear);
    window.ears.push(ear);
  }
  return connect.call(this, to, ...rest);
};
"""
"""Puts an ear beside the loudspeaker: `loudest()` is the root mean square of the last fifth of a second that went to it."""


async def launch(playwright: Playwright, microphone: Path | None = None) -> Browser:
    """A browser. microphone: a recording that it hears, once."""
    heard = () if microphone is None else (f"--use-file-for-fake-audio-capture={microphone}%noloop",)
    return await playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *heard])


def record(path: Path, audio: bytes) -> None:
    """A wav for a microphone out of mu-law, 8 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(array("h", samples(audio)).tobytes())


class Watched:
    """A page, and what it did that no page of ours may do. `faults`: console errors and warnings, scripts' errors."""

    def __init__(self, page: Page, wire: CDPSession) -> None:
        self.page, self.faults, self.hosts, self.wire_bytes = page, list[str](), set[str](), 0
        self._some = asyncio.Event()
        page.on("pageerror", lambda wrong: self.faults.append(f"{page.url}: {wrong}"))
        page.on("console", lambda said: self._said(said.type, said.text))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        wire.on("Network.loadingFinished", self._loaded)

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.faults.append(f"{self.page.url}: {text}")

    def _loaded(self, what: dict[str, Any]) -> None:
        self.wire_bytes += int(what["encodedDataLength"])
        self._some.set()

    async def open(self, url: str) -> int:
        """Go there; how many bytes that took. A busy browser tells of them some time after the page is there."""
        before = self.wire_bytes
        await self.page.goto(url)
        async with asyncio.timeout(PATIENCE_MS / 1000):
            while self.wire_bytes == before:
                self._some.clear()
                await self._some.wait()
        return self.wire_bytes - before

    async def shifted(self) -> tuple[float, list[str]]:
        """How much of the layout moved under the reader's eyes, and what."""
        found: Any = await self.page.evaluate("() => window.shifts")
        return float(found["sum"]), found["moved"]


@asynccontextmanager
async def watched(context: BrowserContext, *allowed: str) -> AsyncIterator[Watched]:
    """A new page that at the end must have no fault, save those that hold one of `allowed`, and must have asked one host."""
    page = await context.new_page()
    wire = await context.new_cdp_session(page)
    await wire.send("Network.enable")
    await wire.send("Network.setCacheDisabled", {"cacheDisabled": True})  # each page is loaded as if it were the first
    it = Watched(page, wire)
    await page.add_init_script(SHIFTS + LOUDNESS)
    try:
        yield it
    finally:
        await page.close()
    faults = [fault for fault in it.faults if not any(text in fault for text in allowed)]
    assert not faults, faults
    assert len(it.hosts) <= 1, it.hosts


AXE = (Path(__file__).parent / "vendor/axe-core-4.14.1/axe.min.js").read_text(encoding="utf-8")
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
AUDIT = """async (runOnly) => {
  const {violations} = await axe.run(document, {runOnly, resultTypes: ["violations"]});
  return violations.flatMap(({id, nodes}) => nodes.map(({html, any, all}) =>
    `${id}: ${html.slice(0, 160)} ${[...any, ...all].map(({message}) => message).join("; ").slice(0, 300)}`));
}"""


async def violations(page: Page, *rules: str) -> list[str]:
    """What axe-core finds on the page as it is now: WCAG 2 at A and AA, or only some rules of it."""
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(AXE)
    only = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": TAGS}
    found: list[str] = await page.evaluate(AUDIT, only)
    return found
