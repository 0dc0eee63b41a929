"""The commands that lead a server and keep what it works by: their options. What they do is loaded when they run."""

import argparse
from collections.abc import Callable

Runner = Callable[[argparse.Namespace], int]


def _serve(parser: argparse.ArgumentParser) -> Runner:
    parser.add_argument("--port", type=int, help="listen here instead of on PORT")
    parser.add_argument(
        "--reload", action="store_true", help="take edits of modes, prompts and offhook.toml for calls that begin then"
    )
    parser.add_argument(
        "--tunnel",
        nargs="?",
        const="auto",
        default="",
        choices=["auto", "cloudflared", "ngrok"],
        help="be reached by a public URL of an installed tunnel client, for this run",
    )
    parser.add_argument("--detach", action="store_true", help="outlive the terminal, and write to serve.log")
    parser.add_argument("--yes", action="store_true", help="with --tunnel: point the number at it without asking")

    def run(chosen: argparse.Namespace) -> int:
        from app.commands.serve import serve
        from app.commands.serving import Asked

        asked = Asked(port=chosen.port, reload=chosen.reload, tunnel=chosen.tunnel, yes=chosen.yes)
        return serve(asked, detached=chosen.detach)

    return run


def _ends(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="wait no longer than this for calls to end")
    parser.add_argument("--now", action="store_true", help="do not wait for calls: their callers are led to a person")
    parser.add_argument("--yes", action="store_true", help="put a number back that a dead server lent, without asking")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"expected 0 to 86400 seconds, got {text}")
    return value


def _stop(parser: argparse.ArgumentParser) -> Runner:
    _ends(parser)

    def run(chosen: argparse.Namespace) -> int:
        from app.commands.stop import stop

        return stop(timeout=chosen.timeout, now=chosen.now, yes=chosen.yes)

    return run


def _restart(parser: argparse.ArgumentParser) -> Runner:
    _ends(parser)

    def run(chosen: argparse.Namespace) -> int:
        from app.commands.restart import restart

        return restart(timeout=chosen.timeout, now=chosen.now, yes=chosen.yes)

    return run


def _status(parser: argparse.ArgumentParser) -> Runner:
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the text")

    def run(chosen: argparse.Namespace) -> int:
        from app.commands.status import status

        return status(as_json=chosen.json)

    return run


def _snapshot(parser: argparse.ArgumentParser) -> Runner:
    parser.usage = (
        "offhook snapshot [NAME] | snapshot --list | snapshot diff NAME [NAME] | snapshot restore NAME [--yes]"
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="NAME",
        help="what to call the new one (default: the date); or `diff` or `restore`, and which",
    )
    parser.add_argument("--list", action="store_true", help="list them, the newest first")
    parser.add_argument("--json", action="store_true", help="with --list: one JSON object a line")
    parser.add_argument("--yes", action="store_true", help="restore without asking")

    def run(chosen: argparse.Namespace) -> int:
        from app.commands.snapshot import snapshot

        return snapshot(chosen.words, listed=chosen.list, as_json=chosen.json, yes=chosen.yes)

    return run


SERVER: dict[str, tuple[Callable[[argparse.ArgumentParser], Runner], str, str]] = {
    "serve": (_serve, "answer calls on HOST:PORT until Ctrl-C", "./offhook serve --reload --tunnel"),
    "status": (
        _status,
        "tell whether a server runs here, and how it stands; 0 it runs, 1 none, 3 starts, 4 drains, 5 does not answer",
        "./offhook status --json",
    ),
    "stop": (_stop, "have the server end once its calls have; clear away what a dead one left", "./offhook stop --now"),
    "restart": (_restart, "stop the server, and start it again as it was started", "./offhook restart"),
    "snapshot": (
        _snapshot,
        "keep prompts, modes and offhook.toml with the versions they worked with; compare, and go back",
        "./offhook snapshot before-the-sale && ./offhook snapshot diff before-the-sale",
    ),
}
