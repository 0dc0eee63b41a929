"""`./offhook serve`: checks what can be checked, starts the database, then answers."""

import contextlib
import gc
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from app import log as logging
from app import settings as all_settings
from app.adapters.data_folder import (
    data_folder,
    forget,
    note_starting,
    open_database,
    read_running,
    read_starting,
    starting_file,
)
from app.adapters.lent_number import lent_file
from app.adapters.tunnel_client import open_client
from app.commands.running import on_port
from app.commands.serving import Asked, detach, log_of, start_again
from app.commands.tunnel import ask_to_lend, clear_tunnel, offer_back
from app.errors import SetupError
from app.mode import Mode
from app.settings import ROOT, Settings

log = structlog.get_logger()


def serve(asked: Asked = Asked(), *, detached: bool = False, root: Path = ROOT) -> int:  # noqa: B008  it is frozen
    """Answer calls until a signal. root: where `offhook.toml` and `.env` are. detached: start it so, and come back.

    Raises SetupError with the remedy if it cannot start.
    """
    here = all_settings.environment(root)
    if asked.port is not None:
        here["PORT"] = str(asked.port)
    settings = all_settings.load(here, root=root)
    logging.configure(settings.log_level, settings.secrets, settings.log_format)
    check_alone(settings.data)
    check_port(settings.host, settings.port, settings.data)
    from app import registry  # takes most of a second: not for nothing

    found = registry.find(settings)  # what is wrong with a mode is said before anything is started
    if detached:
        running = detach(asked, settings)
        print(f"Offhook answers on {running.url} (process {running.pid}); what it says: {log_of(settings.data)}")
        return 0
    data_folder(settings.data)
    note_starting(settings.data, settings.port)
    try:
        again, lent = _serve(asked, settings, here, root, found.modes)
    except BaseException:
        forget(starting_file(settings.data))
        raise
    if again:
        start_again(msgspec.structs.replace(asked, yes=asked.yes or lent))  # who has said yes is not asked once more
    return 0


def _serve(
    asked: Asked, settings: Settings, here: dict[str, str], root: Path, modes: Mapping[str, Mode]
) -> tuple[bool, bool]:
    """Answer calls; whether another start was asked for, and whether a number was lent."""
    with contextlib.ExitStack() as stack:
        client, lends = None, False
        if asked.tunnel:
            client = stack.enter_context(open_client(asked.tunnel, settings.own_url, settings.data))
            here["PUBLIC_URL"] = client.url
            settings = all_settings.load(here, root=root)
            lends = ask_to_lend(settings, yes=asked.yes)
        if not lends and lent_file(settings.data).exists():
            try:
                (offer_back if asked.tunnel else clear_tunnel)(settings, yes=asked.yes)
            except SetupError as wrong:  # no reason not to answer calls
                print(f"offhook serve: {wrong}", file=sys.stderr)
        database = stack.enter_context(open_database(settings, meanwhile=_load_the_rest))
        from app.calls.unused_proxy import REMEDY, unused_proxy
        from app.commands import answering
        from app.commands.beside import beside

        if what := unused_proxy(here, settings, modes):
            log.warning("A PROXY IS SET, AND CALLS DO NOT USE IT", what=what, remedy=REMEDY)
        companions = beside(
            read=(lambda: all_settings.load(here, root=root)) if asked.reload else None,
            root=root,
            client=client,
            lends=lends,
        )
        gc.freeze()  # what is imported stays: it need not be looked at again while calls are relayed
        gc.enable()
        return answering.run(settings, database, companions), lends


def _load_the_rest() -> None:
    """What takes longest to load, the database's library first of all."""
    import app.commands.beside  # noqa: F401


def check_alone(folder: Path) -> None:
    """Raise SetupError if another server runs or starts with this data folder, on whatever port."""
    other = read_running(folder) or read_starting(folder)
    if other is not None and other.pid != os.getpid():
        raise SetupError(
            f"expected no other server with the data folder {folder}, but process {other.pid} has port {other.port} with it. "
            "./offhook status tells more, ./offhook restart starts it anew; a second one takes a folder of its own "
            "(OFFHOOK_DATA) and another port (--port)"
        )


def check_port(host: str, port: int, folder: Path) -> None:
    """Raise SetupError if the port cannot be had, with who has it and the remedy. folder: the data folder."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as wrong:
            raise SetupError(
                f"expected to listen on {host}:{port}, but: {wrong.strerror}. {_who_has(port, folder)}"
                "Stop what listens there, or take another port with --port or PORT."
            ) from wrong


def _who_has(port: int, folder: Path) -> str:
    """Who listens on a port, as a sentence; empty if it is not told."""
    running = read_running(folder)
    if running is not None and running.port == port:
        return f"The server of this data folder does (process {running.pid}); ./offhook status tells more. "
    found = [one.words for one in on_port(port, folder)]
    return f"It is {' and '.join(found)}. " if found else ""
