"""The bench's own environments, none of which is in the product's lock: servers to compare with, plots, peers."""

from pathlib import Path
from typing import cast

from bench.building import cache_folder
from bench.peers import environment

SERVERS = ("uvicorn", "granian")
TOLD: dict[str, tuple[str, ...]] = {
    "sample": ("fastapi", "uvicorn", "websockets"),
    "pipecat": ("pipecat-ai", "uvicorn", "websockets"),
    "agents": ("openai-agents", "uvicorn", "websockets"),
}
"""Whose versions say most about a peer."""


def python(name: str) -> Path:
    """The python of the environment by `requirements-bench-<name>.lock`, made on demand. Raises SetupError."""
    return environment.ensure(cache_folder() / "environments", cast("environment.Which", name))


def site_packages(name: str) -> Path:
    """Its packages, to be put on PYTHONPATH of the product's own Python. Raises SetupError."""
    return next((python(name).parents[1] / "lib").glob("python*/site-packages"))


def peer(name: str) -> list[str]:
    """What starts a peer, less port and model. Raises SetupError."""
    script = Path(environment.__file__).with_name(environment.SCRIPTS[name])
    return [str(python(environment.ENVIRONMENTS[name])), str(script)]


def versions(name: str) -> str:
    """What decides about a subject's speed in its own environment; empty for those that have none."""
    if name in TOLD:
        found = environment.versions(python(environment.ENVIRONMENTS[name]))
        return ", ".join(f"{package} {found.get(package, '?')}" for package in TOLD[name])
    server = name.removeprefix("asgi-")
    if server in SERVERS:
        return f"{server} {environment.versions(python('servers')).get(server, '?')}"
    return ""
