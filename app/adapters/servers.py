"""Servers: the model's, and those that stand in for it (`[[fallback_engine]]`); which one a call should begin with.

    closed      a call begins with it
    open        its last session could not be opened, or it refused to go on: calls begin with the next one for a while
    half open   that while is over: one call tries it; the others wait for what becomes of that

The last server is never gone past: if all are broken, each call tries them again, from the first one on. One server alone is not
watched at all. What is learnt here is of this process.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import structlog

from app import metrics
from app.adapters.endpoint import Endpoint
from app.rules.engines import ENGINES
from app.rules.fallback_engines import FIRST
from app.settings import Settings

log = structlog.get_logger()

BROKEN_SECONDS = 30.0
"""How long calls go past a server that failed; one of them then tries it."""
REFUSED_SECONDS = 300.0
"""... past one that will not have us: quota and keys are not mended in a moment."""
TRYING_SECONDS = 15.0
"""A call that tries a broken server and is not heard of again has told us nothing."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """One place where sessions can be had. What is empty is the mode's, or the house's."""

    name: str
    endpoint: Endpoint
    model: str = ""
    voice: str = ""


def endpoint_of(settings: Settings, *, stand_in: str = "") -> Endpoint:
    """Where the model is, as the settings say. stand_in: URL of the built-in stand-in, where that one answers."""
    return Endpoint(
        url=stand_in or settings.realtime_url,
        key=settings.openai_api_key,
        engine=None if settings.realtime_engine == "auto" else ENGINES[settings.realtime_engine],
        auth=None if settings.realtime_auth == "auto" else settings.realtime_auth,
        dialect=None if settings.realtime_dialect == "auto" else settings.realtime_dialect,
        codec=None if settings.realtime_audio == "auto" else settings.realtime_audio,
    )


def servers_of(settings: Settings, endpoint: Endpoint) -> list[Server]:
    """The first one, which is at `endpoint`, and those of the settings that stand in for it."""
    others = [
        Server(
            name=other.name,
            endpoint=Endpoint(
                url=other.url,
                key=other.key,
                engine=None if other.engine is None else ENGINES[other.engine],
                auth=other.auth,
                dialect=other.dialect,
                codec=other.audio,
            ),
            model=other.model,
            voice=other.voice,
        )
        for other in settings.fallback_engines
    ]
    return [Server(name=FIRST, endpoint=endpoint), *others]


class _Circuit(msgspec.Struct):
    """What is known of one server's health."""

    broken_until: float = 0.0
    broken: bool = False


class Servers:
    """In the order in which they are tried; the first one is the model's own. Needs a running loop."""

    def __init__(self, servers: Sequence[Server], *, now: Callable[[], float] | None = None) -> None:
        """servers: one at least, each name once. now: seconds; None: the loop's."""
        self.servers = list(servers)
        self.now = now or asyncio.get_running_loop().time
        self._health = {server.name: _Circuit() for server in servers}

    def __len__(self) -> int:
        return len(self.servers)

    def first(self) -> Server:
        """The one for a session that begins. Where a broken one's time is over, this call tries it."""
        for server in self.servers:
            health = self._health[server.name]
            if not health.broken:
                return server
            if self.now() >= health.broken_until:
                health.broken_until = self.now() + TRYING_SECONDS
                log.info("a model server that failed is tried again", server=server.name)
                return server
        return self.servers[0]

    def after(self, name: str) -> Server | None:
        """The one that stands in for this one; None: there is no other."""
        names = [server.name for server in self.servers]
        at = names.index(name) + 1 if name in names else len(names)
        return self.servers[at] if at < len(self.servers) else None

    def named(self, name: str) -> Server:
        """The server of this name; the first one, if there is none."""
        return next((server for server in self.servers if server.name == name), self.servers[0])

    def works(self, name: str) -> None:
        """A session was opened."""
        health = self._health.get(name)
        if health is not None and health.broken:
            health.broken = False
            metrics.model_server_broken.labels(name).set(0)
            log.info("a model server works again", server=name)

    def fails(self, name: str, why: str, *, refused: bool) -> None:
        """No session could be opened, or it was refused to go on."""
        health = self._health.get(name)
        if health is None or len(self.servers) < 2:
            return
        if not health.broken:
            log.warning("a model server fails; calls begin with the next one", server=name, why=why, refused=refused)
            metrics.model_server_broken.labels(name).set(1)
        health.broken = True
        health.broken_until = self.now() + (REFUSED_SECONDS if refused else BROKEN_SECONDS)
