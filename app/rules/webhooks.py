"""Who is told of finished calls: the [[webhook]] tables of offhook.toml, read and checked.

Secrets are no part of that file: it names the environment variable that holds one. URLs come from there and from nowhere else.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from app.rules.values import LOOPBACK

FINISHED = "call.finished"
PING = "ping"
"""What `./offhook webhooks test` sends; no endpoint asks for it."""
EVENTS = (FINISHED,)
SECRET = "whsec_"  # noqa: S105  a prefix
SECRET_BYTES = (24, 64)
"""Source: Standard Webhooks specification, "Signature scheme": so much randomness, in base64, behind `whsec_`."""
NAME = re.compile(r"[a-z0-9\[][a-z0-9._/:\[\]-]{0,99}")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
"""In capitals, as no secret in base64 is."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint of the business's."""

    name: str
    """What its deliveries are kept under: stays the same when the URL changes."""
    url: str
    secrets: tuple[str, ...]
    """Each message is signed with all of them, so that a receiver can change from one to the next."""
    events: tuple[str, ...] = EVENTS
    modes: tuple[str, ...] = ()
    """Calls of these modes alone; empty: of all."""

    def __repr__(self) -> str:
        """Without the secrets, and without what a URL's query may hold."""
        return f"Webhook({self.name!r})"

    def wants(self, event: str, mode: str) -> bool:
        """Whether it is told of such an event of a call in a mode."""
        return event in self.events and (not self.modes or mode in self.modes)


class Table(msgspec.Struct, forbid_unknown_fields=True):
    """One [[webhook]], as it is written."""

    url: str
    secret: str
    name: str = ""
    events: list[str] = msgspec.field(default_factory=lambda: list(EVENTS))
    modes: list[str] = []


def read_webhooks(tables: list[Table], environ: Mapping[str, str], file: str, faults: list[str]) -> tuple[Webhook, ...]:
    """The endpoints; what is wrong with one is added to `faults`. environ: where the secrets are."""
    found: dict[str, Webhook] = {}
    for number, table in enumerate(tables, start=1):
        where = f"{file}: webhook {number}"
        wrong = _url_fault(table.url)
        if wrong:
            faults.append(f"{where}.url: expected {wrong}, got {_shown(table.url)!r}")
        parts = urlsplit(table.url) if not wrong else urlsplit("")
        name = table.name or f"{parts.netloc}{parts.path}".rstrip("/").lower()
        if not NAME.fullmatch(name) and not wrong:
            faults.append(
                f"{where}.name: expected a name as 'crm' (lower case letters, digits, . _ - / :, 100 at most), got {name!r}"
            )
        if name in found and not wrong:
            faults.append(f"{where}.name: expected a name of its own, got {name!r} again; give each webhook a name")
        for event in table.events:
            if event not in EVENTS:
                faults.append(f"{where}.events: expected some of {', '.join(EVENTS)}, got {event!r}")
        if not table.events:
            faults.append(f"{where}.events: expected some of {', '.join(EVENTS)}, got none")
        secrets = _secrets(table.secret, environ, f"{where}.secret", faults)
        found[name] = Webhook(
            name=name, url=table.url, secrets=secrets, events=tuple(table.events), modes=tuple(table.modes)
        )
    return tuple(found.values())


def unknown_modes(webhooks: tuple[Webhook, ...], modes: Mapping[str, Any]) -> list[str]:
    """Modes that a webhook names and nobody has, as sentences."""
    return [
        f"offhook.toml: webhook {webhook.name!r}: modes: expected some of {', '.join(sorted(modes))}, got {mode!r}"
        for webhook in webhooks
        for mode in webhook.modes
        if mode not in modes
    ]


def _secrets(variable: str, environ: Mapping[str, str], where: str, faults: list[str]) -> tuple[str, ...]:
    """What the variable holds, one or several separated by commas. A secret itself is in no message."""
    if not VARIABLE.fullmatch(variable):
        faults.append(
            f"{where}: expected the name of an environment variable in capitals, as CRM_WEBHOOK_SECRET, got something else; the "
            "secret itself belongs in .env"
        )
        return ()
    secrets = tuple(part for text in environ.get(variable, "").split(",") if (part := text.strip()))
    if not secrets:
        faults.append(f"{where}: expected a secret in {variable}, got none. `./offhook webhooks secret` makes one")
    for secret in secrets:
        if not _is_secret(secret):
            low, high = SECRET_BYTES
            faults.append(
                f"{variable}: expected {SECRET} and {low} to {high} bytes in base64, got a value that is kept secret. "
                "`./offhook webhooks secret` makes one"
            )
    return secrets


def _is_secret(text: str) -> bool:
    body = text.removeprefix(SECRET)
    try:
        size = len(base64.b64decode(body + "=" * (-len(body) % 4), validate=True))
    except (binascii.Error, ValueError):
        return False
    return text.startswith(SECRET) and SECRET_BYTES[0] <= size <= SECRET_BYTES[1]


def _url_fault(url: str) -> str:
    """What was expected instead; empty for a URL that may be posted to."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "a URL with a port from 1 to 65535, or none"
    if not parts.hostname or parts.scheme not in ("https", *(("http",) if parts.hostname in LOOPBACK else ())):
        return "https://HOST/... (http only for a loopback host)"
    if parts.username or parts.password or parts.fragment:
        return "a URL without user, password and fragment"
    if not url.isascii() or any(character <= " " for character in url):
        return "a URL of ASCII characters without spaces"
    return ""


def _shown(url: str) -> str:
    """A URL without what may be secret in it: user, password, query."""
    head = url.split("?")[0]
    scheme, found, rest = head.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if found else head
