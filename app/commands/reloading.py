"""`serve --reload`: edits of modes, prompts and offhook.toml come into effect without a restart and without dropping a call.

New calls get the new version, calls in progress keep theirs; an edit that cannot be used is told, and the last good version stays.
Files are looked at by time and size, twice a second: some fifty of them take half a millisecond on another thread. A library that
is told by the kernel would be another compiled wheel, and hears nothing on network and container mounts.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import structlog

from app import prompts, registry
from app.adapters.business_pg import PgStore
from app.errors import SetupError
from app.main import House
from app.registry import Registry
from app.settings import ROOT, Settings

log = structlog.get_logger()

LOOK_SECONDS = 0.5
SETTLE_SECONDS = 0.1
"""A file may be seen half written: nothing is read until nothing has changed for so long."""
AT_ONCE = ("office", "default_mode", "numbers", "consent")
"""What of offhook.toml comes into effect; its other tables do with the next start."""
LATER = ("prices", "fallback_engines", "webhooks", "retention", "recording", "outbound")

Seen = dict[str, tuple[int, int, int]]


class Reloader:
    """Watches the files of one house."""

    def __init__(self, house: House, read: Callable[[], Settings], *, root: Path = ROOT) -> None:
        """read: the settings as they are now, by the environment of the start; raises SetupError. root: of offhook.toml."""
        self.house = house
        self.read = read
        self.toml = root / "offhook.toml"
        self._seen = self._look()

    async def run(self) -> None:
        """Watch, and reload, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = await asyncio.to_thread(self._look)
            if now == self._seen:
                continue
            await asyncio.sleep(SETTLE_SECONDS)
            if await asyncio.to_thread(self._look) == now:
                self._seen = now
                await self.reload()

    async def reload(self) -> bool:
        """Take what is there now; whether it can be used."""
        try:
            settings, found = await asyncio.to_thread(self._read)
        except SetupError as wrong:
            log.error("an edit cannot be used; new calls go on with what was there before", faults=str(wrong))
            return False
        except Exception:  # the server stands, and the next edit is another try
            log.exception("a reload failed by a fault of ours; new calls go on with what was there before")
            return False
        take(self.house, settings, found)
        return True

    def _read(self) -> tuple[Settings, Registry]:
        """Settings and modes as they are now. Raises SetupError with the faults of both."""
        try:
            settings = self.read()
        except SetupError as wrong:
            faults = [str(wrong)]
            try:
                registry.find_again(self.house.registry.settings)
            except SetupError as more:
                faults.append(str(more))
            raise SetupError("\n".join(faults)) from wrong
        return settings, registry.find_again(settings)

    def _look(self) -> Seen:
        seen: Seen = {}
        for path in (*_files(registry.folder()), *_files(prompts.FOLDER), self.toml):
            with contextlib.suppress(OSError):  # it was taken away while we looked
                found = path.stat()
                seen[str(path)] = (found.st_mtime_ns, found.st_size, found.st_ino)
        return seen


def _files(folder: Path) -> Iterator[Path]:
    for here, _, names in os.walk(
        folder
    ):  # passes over a folder that is taken away while we look, as by `git checkout`
        for path in (Path(here, name) for name in names):
            if path.suffix in (".py", ".md", ".toml", ".json", ".txt") and "__pycache__" not in path.parts:
                yield path


def take(house: House, settings: Settings, found: Registry) -> None:
    """Have new calls use these modes and this description of the business. On the house's own loop."""
    was = house.registry.settings
    now = msgspec.structs.replace(house.settings, **{name: getattr(settings, name) for name in AT_ONCE})
    changed = house.registry.take(Registry(found.modes, now, found.warnings))
    house.settings = house.console.settings = now
    house.board.office, house.board.consent = now.office, now.consent
    if isinstance(house.board.store, PgStore):
        house.board.store.office = now.office
    log.info(
        "reloaded",
        modes={name: found.modes[name].edition.stamp if name in found.modes else "gone" for name in changed},
        live=house.board.live,
    )
    for warning in found.warnings:
        log.warning("a mode is answered otherwise than it says", what=warning)
    if waiting := [name for name in LATER if getattr(settings, name) != getattr(was, name)]:
        log.warning("what changed here comes into effect with the next start", tables=waiting)


@contextlib.asynccontextmanager
async def reloading(house: House, read: Callable[[], Settings], *, root: Path = ROOT) -> AsyncIterator[None]:
    """Reload as long as this is entered."""
    task = asyncio.create_task(Reloader(house, read, root=root).run(), name="reload")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
