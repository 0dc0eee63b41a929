"""The options of `./offhook dial`, apart from what it does: every command's are read at each start."""

import argparse
from collections.abc import Callable


def add_arguments(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """The command's options."""
    parser.add_argument("number", nargs="?", default="", help="whom to call, as +14155550133")
    parser.add_argument("--mode", default="", help="a mode that places calls")
    parser.add_argument("--field", action="append", default=[], metavar="NAME=VALUE", help="what the mode has to know")
    parser.add_argument("--not-before", metavar="WHEN", help="as 2026-12-01T09:00:00-06:00")
    parser.add_argument("--not-after", metavar="WHEN", help="no attempt begins later than this")
    parser.add_argument("--attempts", type=int, help="at most so many")
    parser.add_argument("--no-wait", action="store_true", help="do not wait for what becomes of it")
    parser.add_argument("--never", metavar="NUMBER", help="put a number on the do-not-call list")
    parser.add_argument("--again", metavar="NUMBER", help="take a number off the do-not-call list")
    parser.add_argument("--never-called", action="store_true", help="print the do-not-call list")

    def run(chosen: argparse.Namespace) -> int:
        from app.commands import dial

        return dial.run(chosen)

    return run
