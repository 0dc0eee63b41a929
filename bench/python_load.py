"""The load where there is no compiler: the same language as the native one, but `steady` alone, and for fewer calls.

Commands come by stdin (`run key=value ...`, `quit`), answers go to stdout as lines of JSON; `load.py` is the other side.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import uvloop
from websockets.exceptions import InvalidHandshake

from app.errors import PeerError
from bench.arithmetic import percentile
from bench.links import listen
from bench.load import Messages, Own, Result
from bench.python_carrier import CarrierCall, Dial
from bench.python_model import Line, Session, Talk

SETTLE_SECONDS = 3.0
SHOWN = 5


class PythonLoad:
    """The model's server, which stays, and one run at a time."""

    def __init__(self) -> None:
        self.line = Line(Talk())
        self.sessions = 0

    def session(self, link: Any) -> Session:
        """A relay dials the model."""
        self.sessions += 1
        return Session(link, self.line)

    async def run(self, keys: dict[str, str], say: Callable[[dict[str, Any]], None]) -> None:
        """One run; says its events."""
        try:
            plan = _plan(keys)
        except (ValueError, msgspec.ValidationError) as wrong:
            say({"event": "failed", "why": str(wrong)})
            return
        self.line = line = Line(plan.talk)
        async with httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_connections=64)) as http:
            calls = [CarrierCall(number, plan.dial, line, http) for number in range(plan.calls)]
            errors = await self._dial_all(calls, plan)
            connected = [call for call in calls if call.link is not None]
            if not connected:
                say({"event": "failed", "why": f"no call got through: {errors[0]}"})
                return
            await asyncio.sleep(plan.warmup_s)
            late: list[float] = []
            for call in connected:
                call.late_us = late
            say({"event": "window_start"})
            line.count(True)
            began, cpu = time.monotonic(), time.process_time()
            await asyncio.sleep(plan.window_s)
            window, used = time.monotonic() - began, time.process_time() - cpu
            line.count(False)
            say({"event": "window_end"})
            await self._settle(line)
            dropped = sum(call.over for call in connected)
            await asyncio.gather(*(call.hang_up() for call in connected))
        result = Result(
            scenario="steady",
            calls=plan.calls,
            connected=len(connected),
            failed=plan.calls - len(connected) + dropped,
            window_s=window,
            up=line.up.way_result(),
            down=line.down.way_result(),
            messages=Messages(line.up_messages, line.down_messages),
            load=Own(used, used / window, percentile(late or [0.0], 0.99), max(late, default=0.0)),
            protocol_errors=errors[:SHOWN],
            model_sockets_peak=self.sessions,
        )
        say({"event": "result", **msgspec.to_builtins(result)})

    async def _settle(self, line: Line) -> None:
        """Let frames arrive that were sent in the window; those that take longer are lost."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (line.up.missing or line.down.missing) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def _dial_all(self, calls: list[CarrierCall], plan: "Plan") -> list[str]:
        """Call them all, so many a second; what went wrong, in words."""

        async def one(call: CarrierCall) -> str:
            await asyncio.sleep(call.number / plan.ramp_per_s)
            try:
                await call.dial()
            except (OSError, PeerError, InvalidHandshake, httpx.HTTPError, ValueError) as wrong:
                return f"{type(wrong).__name__}: {wrong}"
            return ""

        return [wrong for wrong in await asyncio.gather(*map(one, calls)) if wrong]


class Plan(msgspec.Struct, frozen=True):
    """A run's keys, read."""

    dial: Dial
    talk: Talk
    scenario: str = "steady"
    calls: int = 50
    ramp_per_s: float = 50
    warmup_s: float = 2
    window_s: float = 10


def _plan(keys: dict[str, str]) -> Plan:
    """Raises ValueError."""
    if keys.get("scenario", "steady") != "steady" or keys.get("probe", "stamp") != "stamp":
        raise ValueError(
            "the Python load plays scenario=steady with probe=stamp alone; the native one takes a C++ compiler"
        )
    talk = msgspec.convert(keys, Talk, strict=False)
    dial = msgspec.convert(keys, Dial, strict=False)
    if not dial.webhook and not dial.stream:
        raise ValueError("expected webhook= or stream=, got neither")
    return msgspec.convert({**keys, "talk": talk, "dial": dial}, Plan, strict=False)


async def _serve(port: int) -> None:
    load = PythonLoad()

    def say(line: dict[str, Any]) -> None:
        print(json.dumps(line), flush=True)

    say({"event": "ready", "model_port": await listen(port, load.session)})
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().split():
        match line:
            case ["run", *pairs]:
                await load.run(dict(pair.partition("=")[::2] for pair in pairs), say)
            case ["quit"]:
                return
            case _:
                say({"event": "failed", "why": f"expected run or quit, got {line[0]!r}"})


def main() -> None:
    """Until `quit` or the end of stdin."""
    parser = argparse.ArgumentParser(description="The bench's load, in Python.")
    parser.add_argument("--model-port", type=int, default=0)
    uvloop.run(_serve(parser.parse_args().model_port))


if __name__ == "__main__":
    main()
