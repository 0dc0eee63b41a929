"""Runs the Autobahn test suite's cases against our links, both roles: `python -m tests.adapters.autobahn [CASE ...]`.

Needs the package `kosoku` (tried with 0.1.0), which drives the suite's own case files; tests do not need it. Exits 1 if a case
fails. Left out are families 12 and 13 (compression, which we do not offer). docs/development.md has the result.
"""

import asyncio
import importlib
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.adapters.echo import echo_client, echo_server

WITHOUT = ["12.*", "13.*"]


def main() -> int:
    try:
        suite: Any = importlib.import_module("kosoku")
    except ImportError:
        sys.stderr.write("expected the package kosoku beside the project's own, found none: pip install kosoku\n")
        return 2
    cases = sys.argv[1:] or None
    failed = 0
    for role, run in (("server", _against_server), ("client", _against_client)):
        try:
            results = asyncio.run(run(suite, cases))
        except suite.FailureError as failure:
            results = failure.results
        failed += _report(role, results)
    return 1 if failed else 0


async def _against_server(suite: Any, cases: Sequence[str] | None) -> Any:
    async with echo_server() as echoes:
        return await suite.run_fuzzingclient(echoes.url, cases, WITHOUT)


async def _against_client(suite: Any, cases: Sequence[str] | None) -> Any:
    async with suite.run_fuzzingserver(cases, WITHOUT, port=0) as server:
        origin = f"ws://{server.address}:{server.port}"
        count = int((await echo_client(f"{origin}/getCaseCount"))[0])
        for number in range(1, count + 1):
            await echo_client(f"{origin}/runCase?case={number}&agent=offhook")
        await echo_client(f"{origin}/updateReports?agent=offhook")
        return await server.get_result()


def _report(role: str, results: Any) -> int:
    """Print what became of every case; returns how many failed."""
    lines = [f"{role}: {dict(Counter(result.behavior.value for result in results))} of {len(results)} cases"]
    for result in results:
        if result.behavior.value != "OK" or result.behavior_close.value not in ("OK", "INFORMATIONAL"):
            lines.append(
                f"  {result.case_id}: {result.behavior.value} / {result.behavior_close.value}: {result.result_close}"
            )
    sys.stdout.write("\n".join([*lines, ""]))
    return sum(not result.passed for result in results)


if __name__ == "__main__":
    sys.exit(main())
