"""The one command, `./offhook COMMAND`: what each takes. `COMMANDS`, at the end, lists them."""

import gc

gc.disable()  # what is imported is no garbage; looking for it costs a fifth of the start. `serve` switches it on again

import argparse  # noqa: E402
import asyncio  # noqa: E402
import contextlib  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

from app.commands.server_table import SERVER, Runner  # noqa: E402
from app.errors import OffhookError  # noqa: E402

EPILOG = (
    "`./offhook test [pytest arguments]` runs the tests, `./offhook lint` checks style and types, `./offhook fuzz` throws a "
    "million inputs."
)


def parser() -> argparse.ArgumentParser:
    """What every command takes."""
    whole = argparse.ArgumentParser(prog="offhook", description="Answers a business's phone.", epilog=EPILOG)
    commands = whole.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (add, about, example) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=about,
            description=about,
            epilog=f"example: {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=add(command))
    return whole


def main(arguments: list[str] | None = None) -> int:
    """Run one command. 0 is success; a fault is one report on stderr: what was expected, what came, what to do."""
    chosen = parser().parse_args(arguments)
    if chosen.command != "serve":
        gc.enable()
    try:
        return int(chosen.run(chosen))
    except OffhookError as wrong:
        print(f"offhook {chosen.command}: {wrong}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _migrate(parser: argparse.ArgumentParser) -> Runner:
    def run(chosen: argparse.Namespace) -> int:
        from app import settings
        from app.adapters.data_folder import open_database
        from app.adapters.late_indexes import build_missing
        from app.adapters.migrate import migrate

        async def bring_up(url: str) -> bool:
            changed = await migrate(url)
            return bool(await build_missing(url)) or changed

        with open_database(settings.load()) as database:
            changed = asyncio.run(bring_up(database.url))
        print("the database was brought up to date" if changed else "the database is up to date")
        return 0

    return run


def _names(text: str) -> tuple[str, ...]:
    """A list with commas."""
    return tuple(name.strip() for name in text.split(","))


def _call(parser: argparse.ArgumentParser) -> Runner:
    parser.add_argument("script", nargs="?", help="name of a shipped script, or a path of one")
    parser.add_argument("--mode", help="call this mode instead of the script's")
    parser.add_argument(
        "--to",
        metavar="URL",
        help="call this server (another checkout's TWILIO_AUTH_TOKEN must be in the settings here)",
    )
    parser.add_argument("--all", action="store_true", help="run every shipped script")
    parser.add_argument(
        "--model",
        metavar="A,B",
        type=_names,
        default=(),
        help="run each script against each of these models, side by side",
    )
    parser.add_argument("--jobs", type=int, help="so many calls at a time; 1 prints the talk as it happens")
    parser.add_argument(
        "--budgets", type=Path, metavar="FILE", help="a TOML file with a table [budgets], instead of the usual"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a call instead of the talk")

    def run(chosen: argparse.Namespace) -> int:
        from app.commands.call import call

        return call(
            script=chosen.script,
            mode=chosen.mode,
            to=chosen.to,
            every=chosen.all,
            as_json=chosen.json,
            models=chosen.model,
            jobs=chosen.jobs,
            budgets=chosen.budgets,
        )

    return run


def _modes(parser: argparse.ArgumentParser) -> Runner:
    parser.add_argument("--check", action="store_true", help="say what each mode lacks; fails if one lacks anything")

    def run(chosen: argparse.Namespace) -> int:
        from app.commands.modes import modes

        return modes(check=chosen.check)

    return run


def _show(parser: argparse.ArgumentParser) -> Runner:
    parser.add_argument("mode", help="name of a mode")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the text")

    def run(chosen: argparse.Namespace) -> int:
        from app.commands.show import show

        print(show(chosen.mode, as_json=chosen.json))
        return 0

    return run


def _new_mode(parser: argparse.ArgumentParser) -> Runner:
    parser.add_argument("name", help="name of the mode: lower case letters, digits and _")
    parser.add_argument("--flow", action="store_true", help="write one with states: a menu by voice or key")

    def run(chosen: argparse.Namespace) -> int:
        from app.commands.new_mode import new_mode

        for path in new_mode(chosen.name, flow=chosen.flow):
            print(f"wrote {path}")
        return 0

    return run


def _model(parser: argparse.ArgumentParser) -> Runner:
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--dialect", choices=["ga", "flat", "hybrid"], default="ga")
    parser.add_argument(
        "--audio",
        choices=["any", "pcmu", "pcm16", "pcm16_16k"],
        default="any",
        help="the codecs it has; others are refused",
    )

    def run(chosen: argparse.Namespace) -> int:
        from app.sim.hearing_worker import Hearing
        from app.sim.model import ModelServer

        async def stand() -> None:
            server = ModelServer(dialect=chosen.dialect, audio=chosen.audio, hearing=Hearing())
            print(f"REALTIME_URL={await server.start(port=chosen.port)}", flush=True)
            await asyncio.Event().wait()

        asyncio.run(stand())
        return 0

    return run


def _carrier(parser: argparse.ArgumentParser) -> Runner:
    parser.add_argument("--port", type=int, default=8766)

    def run(chosen: argparse.Namespace) -> int:
        from app.commands.carrier import stand

        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(stand(chosen.port))
        return 0

    return run


def _token(parser: argparse.ArgumentParser) -> Runner:
    parser.add_argument("what", choices=["make", "list", "revoke"])
    parser.add_argument(
        "name", nargs="?", default="", help="make: who it is for; revoke: the token's id, as `list` has it"
    )

    def run(chosen: argparse.Namespace) -> int:
        from app.commands.token import token

        return token(chosen.what, chosen.name)

    return run


def _dial(parser: argparse.ArgumentParser) -> Runner:
    from app.commands.dial_options import add_arguments

    return add_arguments(parser)


def _bench(parser: argparse.ArgumentParser) -> Runner:
    from app.commands import bench

    bench.add_arguments(parser)
    return bench.bench


def _doctor(parser: argparse.ArgumentParser) -> Runner:
    from app.commands.doctor_options import add_arguments

    return add_arguments(parser)


def _docs(parser: argparse.ArgumentParser) -> Runner:
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write it there instead of build/site")

    def run(chosen: argparse.Namespace) -> int:
        from app.commands.docs import build

        print(f"wrote {build(chosen.out)}")
        return 0

    return run


def _chaos(parser: argparse.ArgumentParser) -> Runner:
    from app.commands import chaos

    return chaos.add_arguments(parser)


def _webhooks(parser: argparse.ArgumentParser) -> Runner:
    ways = parser.add_subparsers(dest="way", metavar="WAY", required=True)
    shown = ways.add_parser("list", help="deliveries that were not taken, the newest first")
    shown.add_argument("--all", action="store_true", help="those that were taken, too")
    shown.add_argument("--json", action="store_true", help="one JSON object a line, with the payload")
    shown.add_argument("--most", type=int, default=50, help="so many at most (50)")
    again = ways.add_parser("retry", help="send deliveries again, now")
    again.add_argument("ids", nargs="*", metavar="ID", help="as list shows them")
    again.add_argument("--endpoint", default="", help="all that are dead or off of this one; it is switched on again")
    again.add_argument("--dead", action="store_true", help="all that are dead or off")
    ping = ways.add_parser("test", help="send a signed ping")
    ping.add_argument("endpoint", nargs="?", default="", help="name of a webhook; none: to all")
    ways.add_parser("secret", help="make a secret")
    ways.add_parser("schema", help="print the JSON Schema of the messages")

    def run(chosen: argparse.Namespace) -> int:
        from app.commands import webhooks

        return webhooks.run(chosen)

    return run


def _privacy(parser: argparse.ArgumentParser) -> Runner:
    ways = parser.add_subparsers(dest="way", metavar="WAY", required=True)
    export = ways.add_parser("export", help="everything that is kept of a caller, as one JSON object")
    export.add_argument(
        "--out", type=Path, metavar="FILE", help="write it there, for its owner alone, instead of printing it"
    )
    erase = ways.add_parser("erase", help="delete all of it; asks first")
    erase.add_argument("--yes", action="store_true", help="do not ask")
    for way in (export, erase):
        way.add_argument("number", help="the caller's, as +14155550133")

    def run(chosen: argparse.Namespace) -> int:
        from app.commands import privacy

        return privacy.run(chosen)

    return run


def _refused(parser: argparse.ArgumentParser) -> Runner:
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with what is in the row")
    parser.add_argument(
        "--retry", action="store_true", help="have them written again, by the running server or the next one"
    )

    def run(chosen: argparse.Namespace) -> int:
        from app.commands.refused import refused

        return refused(as_json=chosen.json, retry=chosen.retry)

    return run


COMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], Runner], str, str]] = {
    **SERVER,
    "call": (_call, "phone the product by a script and check what came of it", "./offhook call booking"),
    "modes": (_modes, "list the modes that were found", "./offhook modes --check"),
    "show": (_show, "print a mode's prompt, tools and token counts", "./offhook show receptionist"),
    "new-mode": (_new_mode, "write a new mode with its prompt, script and test", "./offhook new-mode florist"),
    "migrate": (_migrate, "bring the database up to date", "./offhook migrate"),
    "model": (_model, "run the model stand-in as a server of its own", "./offhook model --dialect flat"),
    "carrier": (_carrier, "run the carrier stand-in's REST API, which can place calls", "./offhook carrier"),
    "doctor": (
        _doctor,
        "look at everything between a caller and this server; wire the number",
        "./offhook doctor --fix",
    ),
    "webhooks": (_webhooks, "see, send again and try word to the business", "./offhook webhooks list"),
    "dial": (
        _dial,
        "have the running server call somebody; or keep the do-not-call list",
        "./offhook dial +14155550133 --mode reminder --field name=Baker --field start=2026-12-01T09:00",
    ),
    "token": (_token, "make, list and revoke tokens of POST /calls", "./offhook token make crm"),
    "privacy": (_privacy, "hand out, or erase, what is kept of a caller", "./offhook privacy export +14155550133"),
    "refused": (_refused, "see rows that the database refused, and try them again", "./offhook refused --retry"),
    "docs": (_docs, "build these pages as a site, every link checked", "./offhook docs"),
    "chaos": (
        _chaos,
        "break each part in turn under a real call, and judge what the caller heard and what the books hold",
        "./offhook chaos --only database,model-stall",
    ),
    "bench": (
        _bench,
        "measure the line against its floor and its peers",
        "./offhook bench --part cpu --subject fast,floor",
    ),
}


if __name__ == "__main__":
    sys.exit(main())
