"""`./offhook serve`: checks what can be checked, starts the database, then answers."""

import gc
import socket

from app import log as logging
from app import registry
from app import settings as all_settings
from app.adapters.data_folder import open_database
from app.errors import SetupError


def serve(*, port: int | None = None) -> int:
    """Answer calls until a signal. Raises SetupError with the remedy if it cannot start."""
    here = all_settings.environment()
    settings = all_settings.load(here if port is None else {**here, "PORT": str(port)})
    logging.configure(settings.log_level)
    registry.find(settings)  # what is wrong with a mode is said before anything is started
    check_port(settings.host, settings.port)
    with open_database(settings, meanwhile=_load_the_rest) as database:
        from app.commands import answering

        gc.freeze()  # what is imported stays: it need not be looked at again while calls are relayed
        gc.enable()
        answering.run(settings, database)
    return 0


def _load_the_rest() -> None:
    """What takes longest to load, the database's library first of all."""
    import app.commands.answering  # noqa: F401


def check_port(host: str, port: int) -> None:
    """Raise SetupError if the port cannot be had, with the remedy."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as wrong:
            raise SetupError(
                f"expected to listen on {host}:{port}, but: {wrong.strerror}. "
                "Stop what listens there, or take another port with --port or PORT."
            ) from wrong
