"""The one command: `./offhook serve | call | test | modes | show | new-mode | migrate | model | carrier | bench`."""

import gc

gc.disable()  # what is imported is no garbage; looking for it costs a fifth of the start. `serve` switches it on again

import argparse  # noqa: E402
import asyncio  # noqa: E402
import contextlib  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

from app.errors import OffhookError  # noqa: E402

EPILOG = "`./offhook test [pytest arguments]` runs the tests; `./offhook lint` checks style and types."


def main(arguments: list[str] | None = None) -> int:
    """Run one command. 0 is success; a fault is one report on stderr: what was expected, what came, what to do."""
    parser = argparse.ArgumentParser(prog="offhook", description="Answers a business's phone.", epilog=EPILOG)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (add, about, example) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=about,
            description=about,
            epilog=f"example: {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=add(command))
    chosen = parser.parse_args(arguments)
    if chosen.command != "serve":
        gc.enable()
    try:
        return int(chosen.run(chosen))
    except OffhookError as wrong:
        print(f"offhook {chosen.command}: {wrong}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


Runner = Callable[[argparse.Namespace], int]


def _serve(parser: argparse.ArgumentParser) -> Runner:
    parser.add_argument("--port", type=int, help="listen here instead of on PORT")

    def run(chosen: argparse.Namespace) -> int:
        from app.commands.serve import serve

        return serve(port=chosen.port)

    return run


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
        "--to", metavar="URL", help="call this server (its TWILIO_AUTH_TOKEN must be in the settings here)"
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
    parser.add_argument("--dialect", choices=["ga", "flat"], default="ga")

    def run(chosen: argparse.Namespace) -> int:
        from app.sim.hearing_worker import Hearing
        from app.sim.model import ModelServer

        async def stand() -> None:
            server = ModelServer(dialect=chosen.dialect, hearing=Hearing())
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


def _bench(parser: argparse.ArgumentParser) -> Runner:
    from app.commands import bench

    bench.add_arguments(parser)
    return bench.bench


COMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], Runner], str, str]] = {
    "serve": (_serve, "answer calls on HOST:PORT until Ctrl-C", "./offhook serve"),
    "call": (_call, "phone the product by a script and check what came of it", "./offhook call booking"),
    "modes": (_modes, "list the modes that were found", "./offhook modes --check"),
    "show": (_show, "print a mode's prompt, tools and token counts", "./offhook show receptionist"),
    "new-mode": (_new_mode, "write a new mode with its prompt, script and test", "./offhook new-mode florist"),
    "migrate": (_migrate, "bring the database up to date", "./offhook migrate"),
    "model": (_model, "run the model stand-in as a server of its own", "./offhook model --dialect flat"),
    "carrier": (_carrier, "run the carrier stand-in's REST API, which can place calls", "./offhook carrier"),
    "bench": (
        _bench,
        "measure the line against its floor and its peers",
        "./offhook bench --part cpu --subject fast,floor",
    ),
}


if __name__ == "__main__":
    sys.exit(main())
