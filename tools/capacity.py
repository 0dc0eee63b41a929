"""Plans capacity from one call to 100,000 at once, and writes the tables of docs/capacity.md.

    .venv/bin/python tools/capacity.py                    # the tables
    .venv/bin/python tools/capacity.py --calls 350        # one more column
    .venv/bin/python tools/capacity.py --write            # into docs/capacity.md

Every constant says where it is from; those of our own code and bench are read from there, not repeated.
"""

import argparse
import base64
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from app.adapters.journal import BATCH_ROWS, GATHER_SECONDS  # noqa: E402
from app.calls.roster import KEEP_SECONDS  # noqa: E402
from app.rules.prices import OURS  # noqa: E402
from app.settings import Settings  # noqa: E402
from app.wire import realtime, twilio  # noqa: E402

PAGE = ROOT / "docs/capacity.md"
BENCH = ROOT / "docs/06-latency-tuning.md"
BEGIN, END = "<!-- capacity: begin. Written by tools/capacity.py --write; change it there -->", "<!-- capacity: end -->"
CALLS = (1, 10, 100, 1_000, 10_000, 100_000)
MODEL = "gpt-realtime-1.5"


class Constant(NamedTuple):
    """A number that the plan is made of. source: where it is from, or how to measure it again."""

    name: str
    value: float
    unit: str
    source: str


def benched(row: str, subject: str = "fast") -> float:
    """A median from the table that `./offhook bench --update-docs` wrote. Raises ValueError if it has no such row."""
    lines = BENCH.read_text().splitlines()
    heads = next(line for line in lines if line.startswith("| run | figure |"))
    column = [cell.strip() for cell in heads.split("|")].index(subject)
    for line in lines:
        cells = [cell.strip() for cell in line.split("|")]
        if row == " ".join(cells[1:3]):
            return float(cells[column].split()[0])
    raise ValueError(f"expected a row {row!r} in {BENCH.name}; run ./offhook bench --update-docs")


def default(name: str) -> float:
    """The default of a setting."""
    fields = dict(zip(reversed(Settings.__struct_fields__), reversed(Settings.__struct_defaults__), strict=False))
    return float(fields[name])


def egress_bytes(agent_share: float) -> float:
    """What one call sends a second: each frame of the caller's to the model, what the agent says to the carrier.

    On the wire, with WebSocket, TLS and TCP/IPv4 around it (4 or 8, 22 and 52 bytes a message or segment).
    """
    frame = base64.b64encode(b"\xff" * 160)
    delta = base64.b64encode(b"\xff" * 3200)  # 400 ms, as the bench's model sends them
    up = len(realtime.append_audio(frame)) + 8 + 22 + 52
    message = len(twilio.media("MZ" + "0" * 32, b'"%b"' % delta)) + 4
    down = message + 22 + 52 * math.ceil(message / 1400)
    return 50 * up + agent_share * 2.5 * down


def constants() -> dict[str, Constant]:
    """All of them, by the name that the plan uses."""
    price, write = OURS.of(MODEL), OURS.minute_of("gpt-live-transcribe")
    return {
        "minutes": Constant("length of a call", 3, "min", "assumption; yours is on `/stats`"),
        "hours": Constant("hours a day at full load", 8, "h", "assumption"),
        "caller_share": Constant("of a call, the caller speaks", 0.4, "", "assumption"),
        "agent_share": Constant("of a call, the agent speaks", 0.5, "", "as in the bench: 4 s of every 8"),
        "core": Constant(
            "of a core, 150 calls", benched("steady 150 core used, %") / 100, "",
            "bench: `./offhook bench --part cpu --subject fast`",
        ),
        "tls": Constant("more CPU with TLS to the model", 1.07, "x", "an experiment with minimal relays: 3 to 7 %"),
        "full": Constant("of a core, at most", 0.6, "", "p99 grows from 80 % on; a machine that ends gives its calls to the rest"),
        "max_calls": Constant("`MAX_CALLS`", default("max_calls"), "calls", "default"),
        "memory_start": Constant("memory of a process without calls", 97, "MB", f"{MEMORY}, 21 November 2026"),
        "memory_call": Constant("memory of a call with TLS to the model", 0.14, "MB", f"{MEMORY}, 22 November 2026"),
        "files_start": Constant("descriptors of a process without calls", 35, "", f"{MEMORY}, 21 November 2026"),
        "files_call": Constant("descriptors of a call: its stream and its link to the model", 2, "", FILES),
        "egress": Constant("sent by a call", egress_bytes(0.5) * 8 / 1000, "kbit/s", "our own messages' lengths: `egress_bytes`"),
        "rows": Constant("rows of the books, a minute of a call", 100, "", LEFT),
        "writes": Constant("rows written for them, again and again", 172, "", LEFT),
        "bytes": Constant("of Postgres' disk for them, indexes included", 32, "kB", LEFT),
        "debug_rows": Constant("debug events, a minute of a call", 227, "", LEFT),
        "debug_bytes": Constant("of Postgres' disk for them", 164, "kB", LEFT),
        "postgres": Constant(
            "of a core for Postgres, 150 calls", benched("steady 150 Postgres besides, % of a core") / 100, "",
            "bench: `./offhook bench --part cpu --subject fast`",
        ),
        "debug_days": Constant("they are kept", 14, "days", "`retention.debug_days`, default"),
        "batches": Constant(
            "transactions of a busy process, at most", 2 / GATHER_SECONDS + 1 / KEEP_SECONDS, "/s",
            f"code: two lanes every {GATHER_SECONDS:g} s (sooner past {BATCH_ROWS} rows), standings every {KEEP_SECONDS:g} s",
        ),
        "connections": Constant("`DATABASE_CONNECTIONS`", default("database_connections"), "", "default"),
        "spares": Constant("`SPARE_LINKS`", default("spare_links"), "sessions a machine", "default"),
        "webhooks": Constant("requests of the carrier's a call", 5, "", "incoming, stream started, stream stopped, next, status"),
        "tokens_in": Constant("audio tokens, a minute of the caller's speech", 600, "", "OpenAI, realtime costs: one for 100 ms"),
        "tokens_out": Constant("audio tokens, a minute of the agent's speech", 1200, "", "OpenAI, realtime costs: one for 50 ms"),
        "model_in": Constant(
            "a minute of the caller's speech", 600 * price.audio_in / 1e6 + write, "$",
            f"`app/rules/prices.py`: {MODEL}, with transcription",
        ),
        "model_out": Constant(
            "a minute of the agent's speech", 1200 * price.audio_out / 1e6, "$", f"`app/rules/prices.py`: {MODEL}"
        ),
        "phone": Constant(
            "a minute of a call at the carrier", 0.0125, "$",
            "NOT CHECKED: 0.0085 inbound (an old page of Twilio's, US local), 0.004 for the stream; see your console",
        ),
        "machine": Constant("a performance-1x with 2 GB on Fly, 30 days", 33, "$", "Fly, about/pricing, 2026 (`iad`)"),
        "traffic": Constant("a GB sent from Fly, North America or Europe", 0.02, "$", "Fly, about/pricing, 2026"),
    }  # fmt: skip


LEFT = "`tools/books_per_call.py`: 20 calls of `./offhook call --all`, 21 November 2026"
FILES = "an experiment: 20 calls of the carrier stand-in, 22 November 2026"
MEMORY = "bench: `./offhook bench --part memory,tls --subject fast`"


class Plan(NamedTuple):
    """What so many calls at once take."""

    calls: int
    machines: int
    calls_a_machine: int
    memory_gb: float
    files: int
    egress_mbit: float
    new_calls: float
    webhooks: float
    writes: float
    transactions: float
    postgres_cores: float
    rows_a_day: float
    gb_a_day: float
    debug_gb: float
    connections: int
    sessions: int
    tokens_a_minute: float
    machines_usd: float
    traffic_usd: float
    model_usd: float
    phone_usd: float


def plan(calls: int, of: dict[str, Constant] | None = None) -> Plan:
    """The plan for so many calls at once (1 or more)."""
    has = {name: constant.value for name, constant in (of or constants()).items()}
    room = min(int(has["max_calls"]), math.floor(150 * has["full"] / (has["core"] * has["tls"])))
    machines = math.ceil(calls / room) + 1
    each = math.ceil(calls / (machines - 1))
    minutes_a_day = calls * 60 * has["hours"]
    egress = calls * has["egress"] / 1000
    writes = calls / 60 * (has["writes"] + has["debug_rows"])
    return Plan(
        calls=calls,
        machines=machines,
        calls_a_machine=each,
        memory_gb=(has["memory_start"] + each * has["memory_call"]) / 1000,
        files=math.ceil(has["files_start"] + each * has["files_call"]),
        egress_mbit=egress,
        new_calls=calls / (has["minutes"] * 60),
        webhooks=calls / (has["minutes"] * 60) * has["webhooks"],
        writes=writes,
        transactions=min(machines * has["batches"], writes),
        postgres_cores=calls / 150 * has["postgres"],
        rows_a_day=minutes_a_day * has["rows"],
        gb_a_day=minutes_a_day * has["bytes"] / 1e6,
        debug_gb=minutes_a_day * has["debug_days"] * has["debug_bytes"] / 1e6,
        connections=machines * (int(has["connections"]) + 1),
        sessions=calls + machines * int(has["spares"]),
        tokens_a_minute=calls * (has["caller_share"] * has["tokens_in"] + has["agent_share"] * has["tokens_out"]),
        machines_usd=machines * has["machine"] / 30,
        traffic_usd=egress / 8 / 1000 * 3600 * has["hours"] * has["traffic"],
        model_usd=minutes_a_day * (has["caller_share"] * has["model_in"] + has["agent_share"] * has["model_out"]),
        phone_usd=minutes_a_day * has["phone"],
    )


LINES: dict[str, str] = {
    "machines": "machines, one to spare",
    "calls_a_machine": "calls on each while one is away",
    "memory_gb": "memory of its process, GB",
    "files": "its open files",
    "egress_mbit": "sent, Mbit/s",
    "new_calls": "new calls a second",
    "webhooks": "webhooks a second",
    "writes": "rows written a second, debug events included",
    "transactions": "transactions a second, at most",
    "postgres_cores": "cores of Postgres",
    "rows_a_day": "rows of the books a day",
    "gb_a_day": "GB of the books a day",
    "debug_gb": "GB of debug events, once old ones go",
    "connections": "connections to Postgres or its pooler",
    "sessions": "sessions at the model at once",
    "tokens_a_minute": "new audio tokens a minute",
    "machines_usd": "machines, $ a day",
    "traffic_usd": "traffic, $ a day",
    "model_usd": "model, $ a day",
    "phone_usd": "carrier, $ a day",
}


def shown(number: float) -> str:
    """Three figures that count."""
    if number and abs(number) < 100:
        return f"{float(f'{number:.2g}'):g}"
    return f"{round(number, 2 - math.floor(math.log10(number))):,.0f}" if number >= 1000 else f"{number:.0f}"


def tables(calls: Sequence[int] = CALLS) -> Iterator[str]:
    """The lines of the page between its marks."""
    of = constants()
    plans = [plan(count, of) for count in calls]
    yield "| calls at once | " + " | ".join(f"{count:,}" for count in calls) + " |"
    yield "|---|" + "---:|" * len(calls)
    for name, title in LINES.items():
        cells = (getattr(one, name) for one in plans)
        yield (
            f"| {title} | " + " | ".join(f"{cell:,}" if isinstance(cell, int) else shown(cell) for cell in cells) + " |"
        )
    yield ""
    yield "| constant | value | from |"
    yield "|---|---|---|"
    for constant in of.values():
        yield f"| {constant.name} | {float(f'{constant.value:.3g}'):g} {constant.unit} | {constant.source} |".replace(
            "  |", " |"
        )


def written(page: str) -> str:
    """The page with the tables of now. Raises ValueError if it lacks their marks."""
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    text = "\n".join([BEGIN, *tables(), END])
    page, found = pattern.subn(lambda _: text, page)
    if found != 1:
        raise ValueError(f"expected {BEGIN} ... {END} once in {PAGE.name}, found {found}")
    return page


def main(arguments: Iterable[str] | None = None) -> int:
    """0: done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, help="one more column: so many calls at once")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/capacity.md")
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    if chosen.calls is not None and chosen.calls < 1:
        parser.error(f"--calls: expected 1 or more, got {chosen.calls}")
    if chosen.write:
        PAGE.write_text(written(PAGE.read_text()))
    else:
        sys.stdout.write("\n".join(tables(sorted({*CALLS, chosen.calls or 1}))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
