"""`serve --tunnel`: a public URL for this run by a tunnel client, and the business's number lent to it, if that is wished."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

import structlog

from app.adapters.lent_number import lend, lent_file, number_of, put_back, read_lent
from app.adapters.tunnel_client import TunnelClient, end_left
from app.errors import SetupError
from app.settings import Settings

log = structlog.get_logger()

REACH_SECONDS = 60.0
"""A fresh name may take so long until it can be looked up."""
AGAIN_SECONDS = 1.0
WATCH_SECONDS = 2.0


def agreed(question: str, *, yes: bool) -> bool | None:
    """Whether the operator wants it; None if there is nobody to ask."""
    if yes:
        return True
    if not sys.stdin.isatty():
        return None
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return None


def ask_to_lend(settings: Settings, *, yes: bool) -> bool:
    """Whether the number is to be pointed at the tunnel: asked before anything is started. Raises SetupError.

    settings: with the tunnel's URL as PUBLIC_URL.
    """
    hook = f"{settings.public_url}/twilio/incoming"
    if not (settings.twilio_account_sid and settings.twilio_auth_tokens and settings.twilio_phone_number):
        print(
            f"Point your number at {hook} (POST) in Twilio's console. With TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and "
            "TWILIO_PHONE_NUMBER set, this command does it, and puts it back at the end.",
            file=sys.stderr,
        )
        return False
    number = settings.twilio_phone_number
    here = asyncio.run(number_of(settings)).voice_url or "nothing"
    wish = agreed(f"{number} points at {here}. Point it at {hook}, and put it back at the end?", yes=yes)
    if wish is None:
        print(f"{number} points at {here}; --yes points it at {hook}, and puts it back at the end", file=sys.stderr)
    return bool(wish)


@contextlib.asynccontextmanager
async def tunnelled(client: TunnelClient, settings: Settings, *, lends: bool) -> AsyncIterator[None]:
    """See that the tunnel leads here, then lend the number; on leaving it is put back, before calls drain.

    Nothing of it stops the server: what goes wrong is logged.
    """
    task = asyncio.create_task(_join(client, settings, lends=lends), name="tunnel")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if lends:
            await _give_back(settings)


async def _give_back(settings: Settings) -> None:
    try:
        if said := await put_back(settings):
            log.info("the number is put back", what=said)
    except SetupError as wrong:
        log.error("the number is not put back", why=str(wrong), remedy="./offhook stop tries again")


async def _join(client: TunnelClient, settings: Settings, *, lends: bool) -> None:
    if not await _reached(settings.public_url):
        log.error("nothing of ours answers through the tunnel; the number was not touched", url=settings.public_url)
    else:
        log.info("the tunnel leads here", url=settings.public_url, client=client.name)
        if lends:
            try:
                lent = await lend(settings)
                log.info("the number leads here until the end", was=lent.was["voice_url"] or "nothing")
            except SetupError as wrong:
                log.error("the number is not lent", why=str(wrong))
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        if client.code is not None:
            break
    log.error("the tunnel client has ended: no call comes through any more", client=client.name, code=client.code)
    if lends:  # at once: where it led before somebody may answer
        await _give_back(settings)


async def _reached(url: str) -> bool:
    """Whether our own health check answers at a public URL, within REACH_SECONDS."""
    import httpx

    deadline = asyncio.get_running_loop().time() + REACH_SECONDS
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as http:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = await http.get(f"{url}/healthz")
                if answer.status_code == 200 and answer.text.strip() == "ok":
                    return True
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(AGAIN_SECONDS)


def clear_tunnel(settings: Settings, *, yes: bool) -> int:
    """What a server that died left of its tunnel: the client is ended, and the number offered to be put back.

    0, or 1 if a number stays lent. Raises SetupError.
    """
    if client := end_left(settings.data):
        print(f"ended a tunnel client that a dead server left ({client.name}, process {client.pid})")
    return offer_back(settings, yes=yes)


def offer_back(settings: Settings, *, yes: bool) -> int:
    """Offer to put back a number that a dead server lent. 0, or 1 if it stays lent. Raises SetupError."""
    lent = read_lent(settings.data)
    if lent is None:
        return 0
    was = lent.was.get("voice_url") or "nothing"
    wish = agreed(f"{lent.number} still points at the tunnel of a dead server. Put it back to {was}?", yes=yes)
    if wish:
        print(asyncio.run(put_back(settings)))
        return 0
    why = "as you wish" if wish is False else "there is nobody to ask: --yes puts it back"
    print(f"{lent.number} still points at {lent.now['voice_url']}, {why} ({lent_file(settings.data)})", file=sys.stderr)
    return 1
