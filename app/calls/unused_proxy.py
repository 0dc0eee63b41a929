"""A proxy that the environment names and nothing here uses: the model, its voice and Twilio are dialled directly.

Where a machine reaches the internet by a proxy alone, calls fail and nothing says why; so it is said at the start, and by the
doctor. Only the variables' names are told: their values may hold a password.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed does not have it

from app.calls.spoken_calls import SpokenCalls
from app.mode import Mode
from app.rules.values import LOOPBACK
from app.settings import Settings

PROXIES = frozenset({"https_proxy", "http_proxy", "all_proxy"})
REMEDY = "let this machine reach these hosts directly. If it does, put them into NO_PROXY: then nothing is said of them"


def unused_proxy(environ: Mapping[str, str], settings: Settings, modes: Mapping[str, Mode]) -> str:
    """Which variables name a proxy, and which hosts are dialled past it; empty if none is. Hosts of NO_PROXY do not count.

    environ: the environment with what `.env` has. modes: by name, as they are at the start.
    """
    named = [name for name, value in environ.items() if name.lower() in PROXIES and value.strip()]
    if not named:
        return ""
    # urllib's rule for a host, on a mapping of ours; of both spellings the lower one counts there, too
    listed = {"no": (environ.get("no_proxy") or environ.get("NO_PROXY") or "").strip()}
    found = [host for host in dict.fromkeys(_hosts(settings, modes)) if not proxy_bypass_environment(host, listed)]
    if not found:
        return ""
    return f"set, but not used: {', '.join(sorted(named))}; dialled directly: {', '.join(found)}"


def _hosts(settings: Settings, modes: Mapping[str, Mode]) -> Iterator[str]:
    """Every host beyond this machine that a call depends on: the model's, its stand-ins', the voice's, Twilio's."""
    urls = [] if settings.stand_in else [settings.realtime_url]
    urls += [engine.url for engine in settings.fallback_engines]
    voices = SpokenCalls(settings, modes)
    if voices.wanted and voices.health is not None:
        urls.append(voices.health.server.url)
    if settings.twilio_account_sid:
        urls.append(settings.twilio_api_base)
    for url in urls:
        host = urlsplit(url).hostname or ""
        if host and host not in LOOPBACK:
            yield host
