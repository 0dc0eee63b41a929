"""The native programs in tests: built once, run as processes, spoken to in lines."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from app.errors import SetupError
from bench.building import build, compiler

TALK_SECONDS = 30.0


@cache
def program(name: str) -> Path:
    """A program of bench/native, built. Skips the test where there is no compiler; one that says no is a failure."""
    try:
        compiler()
    except SetupError as wrong:
        pytest.skip(f"bench/native/{name} cannot be built: {wrong}")
    return build(name)


class Program:
    """One that runs, and tells in lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self) -> dict[str, Any]:
        """The next line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(TALK_SECONDS):
            line = await self.process.stdout.readline()
        assert line, f"it ended with {await self.process.wait()}"
        said: dict[str, Any] = json.loads(line)
        return said

    async def told(self, line: str) -> dict[str, Any]:
        """Tell it something; what it says next."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        return await self.says()


class Load(Program):
    """The load; `port` is its model's."""

    port = 0

    async def run(self, **keys: object) -> dict[str, Any]:
        """One run to its end: the result, or why it failed."""
        said = await self.told("run " + " ".join(f"{key}={value}" for key, value in keys.items()))
        seen = []
        while said["event"].startswith("window"):
            seen.append(said["event"])
            said = await self.says()
        assert said["event"] == "failed" or seen == ["window_start", "window_end"]
        return said


@asynccontextmanager
async def started(name: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that runs meanwhile; it is gone afterwards."""
    path = await asyncio.to_thread(program, name)
    process = await asyncio.create_subprocess_exec(
        path, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def load() -> AsyncIterator[Load]:
    """A load that listens."""
    async with started("load", "--model-port", "0") as process:
        it = Load(process)
        said = await it.says()
        assert said["event"] == "ready"
        it.port = said["model_port"]
        yield it


@asynccontextmanager
async def floor(model_port: int, *arguments: str) -> AsyncIterator[str]:
    """A minimal relay before this model; where it takes streams."""
    model = f"ws://127.0.0.1:{model_port}/v1/realtime?model=m"
    async with started("floor", "--port", "0", "--model", model, *arguments) as process:
        said = await Program(process).says()
        yield f"ws://127.0.0.1:{said['port']}/media-stream"


def perfect(way: dict[str, Any]) -> bool:
    """Whether every frame of one direction arrived once, in order, and nowhere else."""
    faults = sum(way[kind] for kind in ("lost", "reordered", "duplicated", "crosstalk"))
    return bool(way["sent"] and way["sent"] == way["received"] and not faults)
