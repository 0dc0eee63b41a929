"""`./offhook status`: whether a server runs here, and how it stands. Its exit code tells programs."""

import json
import sys
from typing import Any

import msgspec

from app import settings as all_settings
from app.adapters.lent_number import lent_file, read_lent
from app.adapters.tunnel_client import read_client
from app.commands.running import Found, State, Stranger, lasting, look, on_port, uptime
from app.settings import Settings

CODES: dict[State, int] = {"running": 0, "none": 1, "starting": 3, "draining": 4, "silent": 5}
"""2 is what a wrong option ends with."""
WORDS: dict[State, str] = {
    "running": "runs",
    "draining": "drains: calls in progress end, new ones are refused",
    "silent": "lives, but does not answer: it hangs, is stopped, or is just ending",
}


def status(*, as_json: bool) -> int:
    """Print it; an exit code of `CODES`. Raises SetupError."""
    settings = all_settings.load()
    found = look(settings.data)
    strangers = on_port(settings.port, settings.data) if found.running is None else []
    if as_json:
        print(json.dumps(_row(found, strangers, settings)))
    else:
        print("\n".join(_lines(found, strangers, settings)))
    return CODES[found.state]


def _row(found: Found, strangers: list[Stranger], settings: Settings) -> dict[str, Any]:
    running, stands = found.running, found.stands
    lent, client = read_lent(settings.data), read_client(settings.data)
    return {
        "state": found.state,
        "pid": found.pid or None,
        "port": running.port if running else None,
        "url": running.url if running else None,
        "public_url": running.public_url if running else None,
        "uptime_seconds": round(uptime(running)) if running else None,
        "version": running.version if running else None,
        **(msgspec.structs.asdict(stands) if stands is not None else {}),
        "tunnel": {"client": client.name, "pid": client.pid, "url": client.url} if client is not None else None,
        "lent_number": {"number": lent.number, "was": lent.was.get("voice_url", "")} if lent is not None else None,
        "port_taken_by": [stranger.words for stranger in strangers],
    }


def _lines(found: Found, strangers: list[Stranger], settings: Settings) -> list[str]:
    running, stands = found.running, found.stands
    if found.state == "none":
        lines = [f"no server runs with the data folder {settings.data}; ./offhook serve starts one"]
        lines += [f"port {settings.port}     is taken by {stranger.words}" for stranger in strangers]
    elif running is None:
        lines = [f"a server is starting (process {found.pid})"]
    else:
        lines = [
            f"the server {WORDS[found.state]}",
            f"process     {found.pid}, for {lasting(uptime(running))}, version {running.version}",
            f"answers on  {running.url}"
            + ("" if running.public_url == running.url else f", from outside {running.public_url}"),
        ]
    if stands is not None:
        lines += [
            f"calls       {stands.live} of at most {stands.max_calls}",
            f"database    {stands.database}; {stands.waiting} rows wait to be written",
            f"model       {stands.model}",
            "modes       " + ", ".join(f"{name} {stamp}" for name, stamp in stands.modes.items()),
        ]
    client, lent = read_client(settings.data), read_lent(settings.data)
    if client is not None:
        lines.append(f"tunnel      {client.name} (process {client.pid}), {client.url}")
    if lent is not None:
        was = lent.was.get("voice_url") or "nothing"
        lines.append(f"number      {lent.number} points here; it pointed at {was}, and is put back at the end")
        if found.running is None:
            print(f"a number is still lent ({lent_file(settings.data)}); ./offhook stop puts it back", file=sys.stderr)
    return lines
