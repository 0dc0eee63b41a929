"""`./offhook webhooks`: what became of word to the business, and what to do about it."""

import asyncio
import base64
import json
import secrets
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec

from app import settings as all_settings
from app.adapters.data_folder import open_database
from app.adapters.database import check, make_engine
from app.adapters.deliveries import Deliveries, Delivery, State
from app.errors import SetupError
from app.rules.webhooks import PING, SECRET, Webhook
from app.settings import Settings

UNSENT: tuple[State, ...] = ("waiting", "dead", "off")
EVERY: tuple[State, ...] = (*UNSENT, "sent")
MOST = 1000
AT_A_TIME = 10


def list_them(*, every: bool, most: int, as_json: bool) -> int:
    """Print deliveries that were not taken, the newest first. every: taken ones too."""

    async def show(deliveries: Deliveries, settings: Settings) -> int:
        rows = await deliveries.all(EVERY if every else UNSENT, most)
        if as_json:
            for row in rows:
                print(msgspec.json.encode(row).decode())
            return 0
        off, counts = await deliveries.switched_off(), await deliveries.counts()
        print(_endpoints(settings.webhooks, counts, off))
        for row in rows:
            print(_line(row))
        return 0

    return _with_deliveries(show)


def retry(*, ids: list[str], endpoint: str, dead: bool) -> int:
    """Send deliveries again, now: these, or all of an endpoint's (or of all) that are dead or off. 1 if one is not taken."""
    if not ids and not endpoint and not dead:
        raise SetupError(
            "expected ids of deliveries, --endpoint NAME or --dead, got none. `./offhook webhooks list` shows them."
        )

    async def again(deliveries: Deliveries, settings: Settings) -> int:
        known = {webhook.name for webhook in settings.webhooks}
        if endpoint and endpoint not in known:
            raise SetupError(f"expected one of {', '.join(sorted(known)) or 'no webhook at all'}, got {endpoint!r}")
        chosen = await deliveries.again(ids=ids, endpoint=endpoint)
        for missing in sorted(set(ids).difference(chosen)):
            print(f"there is no delivery {missing}", file=sys.stderr)
        results = await _send(deliveries, settings.webhooks, len(chosen))
        print(f"{len(chosen)} due again, {results.count(True)} taken, {results.count(False)} not taken")
        return 1 if False in results or set(ids).difference(chosen) else 0

    return _with_deliveries(again)


async def _send(deliveries: Deliveries, webhooks: tuple[Webhook, ...], most: int) -> list[bool]:
    """One attempt at what is due; whether each was taken. A running server may be quicker with some of it."""
    from app.adapters.webhook_post import post

    results: list[bool] = []
    for webhook in webhooks:
        while len(results) < most and (claimed := await deliveries.claim(webhook.name, AT_A_TIME)):
            answers = await asyncio.gather(*(post(webhook, row.id, row.payload) for row in claimed))
            for row, answer in zip(claimed, answers, strict=True):
                results.append(answer.verdict == "taken")
                print(f"{row.id}  {webhook.name}  {answer.why or answer.status}")
                match answer.verdict:
                    case "taken":
                        await deliveries.sent(row, answer.status)
                    case "gone":
                        await deliveries.gone(row, answer.status, answer.why)
                    case "failed":
                        await deliveries.failed(row, answer.status, answer.why)
    return results


def test(*, endpoint: str) -> int:
    """Send a signed `ping` to an endpoint, or to all; 1 if one does not take it. No database is needed."""
    from app.adapters.webhook_post import post

    settings = all_settings.load()
    chosen = [webhook for webhook in settings.webhooks if endpoint in ("", webhook.name)]
    if not chosen:
        names = ", ".join(webhook.name for webhook in settings.webhooks)
        raise SetupError(
            f"expected one of {names}, got {endpoint!r}"
            if names
            else "expected a [[webhook]] in offhook.toml, got none"
        )

    async def ping(webhook: Webhook) -> bool:
        now = datetime.now(UTC)
        data = {"endpoint": webhook.name, "office": settings.office.name}
        body = json.dumps({"type": PING, "version": 1, "timestamp": now.isoformat(), "data": data})
        answer = await post(webhook, f"msg_{secrets.token_hex(16)}", body)
        print(f"{webhook.name}: " + (f"taken ({answer.status})" if answer.verdict == "taken" else answer.why))
        return answer.verdict == "taken"

    async def all_of_them() -> list[bool]:
        return list(await asyncio.gather(*(ping(webhook) for webhook in chosen)))

    return 0 if all(asyncio.run(all_of_them())) else 1


def secret() -> int:
    """Print a new secret for an endpoint."""
    print(SECRET + base64.b64encode(secrets.token_bytes(32)).decode())
    return 0


def schema() -> int:
    """Print the JSON Schema of a message."""
    from app.adapters.finished_call import schema as message

    print(json.dumps(message(), indent=2))
    return 0


def _with_deliveries(work: Callable[[Deliveries, Settings], Awaitable[int]]) -> int:
    settings = all_settings.load()

    async def run(url: str) -> int:
        engine = make_engine(url, keep_connections=False)
        try:
            await check(engine)
            return await work(Deliveries(engine), settings)
        finally:
            await engine.dispose()

    with open_database(settings) as database:
        return asyncio.run(run(database.url))


def _endpoints(webhooks: tuple[Webhook, ...], counts: dict[tuple[str, State], int], off: dict[str, str]) -> str:
    names = sorted({webhook.name for webhook in webhooks} | {name for name, _ in counts})
    configured = {webhook.name for webhook in webhooks}
    lines = []
    for name in names:
        numbers = ", ".join(f"{counts[name, state]} {state}" for state in EVERY if (name, state) in counts)
        note = (
            "; not in offhook.toml" if name not in configured else f"; switched off: {off[name]}" if name in off else ""
        )
        lines.append(f"{name}: {numbers or 'nothing yet'}{note}")
    return "\n".join(lines) or "there is no [[webhook]] in offhook.toml, and nothing was delivered"


def _line(row: Delivery) -> str:
    when = f"next {row.next_at:%Y-%m-%d %H:%M} UTC" if row.state == "waiting" else f"{row.attempts} attempts"
    return f"{row.id}  {row.created_at:%Y-%m-%d %H:%M}  {row.state:7}  {row.endpoint}  {row.call_sid}  {when}  {row.why}".rstrip()


def run(chosen: Namespace) -> int:
    """Run what the arguments say."""
    match chosen.way:
        case "list":
            return list_them(every=chosen.all, most=max(1, min(chosen.most, MOST)), as_json=chosen.json)
        case "retry":
            return retry(ids=chosen.ids, endpoint=chosen.endpoint, dead=chosen.dead)
        case "test":
            return test(endpoint=chosen.endpoint)
        case "secret":
            return secret()
    return schema()
