"""One fault in a process of its own, which prints its row: python -m app.chaos.lone NAME [DATABASE]."""

import asyncio
import logging
import sys

import msgspec
import structlog

from app.chaos.matrix import BY_NAME
from app.chaos.playing import play


def main() -> int:
    """Play it, print the row as JSON."""
    quietly()
    row = asyncio.run(play(BY_NAME[sys.argv[1]], sys.argv[2] if len(sys.argv) > 2 else ""))
    sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
    return 0 if row.ok else 1


def quietly() -> None:
    """Say only what is wrong with the matrix itself: what the stand-ins complain of is part of it."""
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
    )


if __name__ == "__main__":
    sys.exit(main())
