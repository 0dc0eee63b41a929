"""The port: free, ours, or somebody else's, and whose."""

import asyncio
import errno
import socket

from app.adapters import processes
from app.adapters.data_folder import Running
from app.doctor.rows import Finding, fault, fine


async def port(host: str, number: int, running: Running | None) -> Finding:
    """Who has the port that calls are to come in by. running: the server of this data folder."""
    return await asyncio.to_thread(_port, host, number, running)


def _port(host: str, number: int, running: Running | None) -> Finding:
    where = f"{host}:{number}"
    try:
        free = _can_bind(host, number)
    except OSError as wrong:
        return fault(
            f"{where} cannot be listened on: {wrong.strerror}", "set HOST and PORT to an address of this machine"
        )
    here = running is not None and running.url.endswith(f":{number}")
    elsewhere = "" if here or running is None else f"; the server of this data folder is at {running.url}"
    if free:
        return fine(f"{where} is free{elsewhere}")
    pids = processes.listeners(number)
    if running is not None and here and (running.pid in pids or not pids):
        return fine(f"{where} is ours: process {running.pid}")
    known = [found for pid in pids if (found := processes.look(pid)) is not None]
    owner = ", ".join(f"process {one.pid} ({one.command})" for one in known) or "a process of another user"
    kill = " ".join(str(one.pid) for one in known)
    return fault(
        f"{where} is taken by {owner}, not by the server of this data folder{elsewhere}",
        f"stop it (kill {kill}), or set PORT" if kill else "find it as root (ss -ltnp), or set PORT",
    )


def _can_bind(host: str, number: int) -> bool:
    """Whether it could be listened on now. Raises OSError for an address that is not this machine's, or a port we may not have."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as wrong:
            if wrong.errno == errno.EADDRINUSE:
                return False
            raise
    return True
