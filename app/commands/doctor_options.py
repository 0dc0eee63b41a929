"""The options of `./offhook doctor`, apart from what it does: every command's are read at each start."""

import argparse
import textwrap
from collections.abc import Callable


def add_arguments(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """The command's options."""
    parser.add_argument(
        "--json", action="store_true", help="print one JSON list of rows: check, ok, level, what, remedy, docs"
    )
    parser.add_argument(
        "--fix",
        action="store_true",
        help="set the number's webhook, fallback and status callback at Twilio first; shows old and new, and asks",
    )
    parser.add_argument(
        "--fallback", metavar="URL", default="", help="with --fix: the fallback to set, as a TwiML Bin's URL"
    )
    parser.add_argument("--yes", action="store_true", help="with --fix: do not ask")
    parser.add_argument(
        "--call", action="store_true", help="make a rehearsed call, too; a real model takes some cents for it"
    )
    parser.description = textwrap.dedent(
        """\
        Looks at everything between a caller and this server, one line a check, in the order in
        which a call meets them. Exits with 1 if a line is a FAULT, else with 0: warnings, and what
        was skipped (--), do not count. Spends nothing without --call, changes nothing without
        --fix, and shows no secret. docs/setup.md says what each line means.
        """
    )

    def run(chosen: argparse.Namespace) -> int:
        from app.commands import doctor

        return doctor.run(chosen)

    return run
