"""One browser for a run of pytest, a server without keys, and one that asks for its password."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, BrowserContext, async_playwright

from app.adapters.data_folder import Running
from app.commands.own_server import started_server
from tests.browser.stage import KEYLESS, launch

PASSWORD = "let me in"
PUBLIC = "https://agent.example.com"


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Nobody's yet: each test opens a context, with cookies of its own."""
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        yield browser
        await browser.close()


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A person who has not been here."""
    context = await browser.new_context()
    yield context
    await context.close()


@pytest.fixture(scope="session")
async def running() -> AsyncIterator[Running]:
    """A server without any key, at this machine: nobody has to log in."""
    async with started_server(quiet=True, folder=None, **KEYLESS) as (running, data):
        yield running
        log = (data / "serve.log").read_text(errors="replace")
    assert "Traceback" not in log, log


@pytest.fixture(scope="session")
async def guarded() -> AsyncIterator[Running]:
    """A server that is elsewhere, as far as it knows: everybody has to log in."""
    environment = {**KEYLESS, "PUBLIC_URL": PUBLIC, "OPERATOR_PASSWORD": PASSWORD, "TWILIO_AUTH_TOKEN": "token"}
    async with started_server(quiet=True, folder=None, **environment) as (running, data):
        yield running
        log = (data / "serve.log").read_text(errors="replace")
    assert "Traceback" not in log, log
