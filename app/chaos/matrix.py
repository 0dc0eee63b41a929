"""The matrix: every fault, in order; and the table of it that the guide shows."""

from collections.abc import Sequence

from app.chaos.fault import Fault
from app.chaos.of_books import BOOKS
from app.chaos.of_carrier import CARRIER
from app.chaos.of_model import MODEL
from app.chaos.of_process import PROCESS
from app.errors import SetupError

MATRIX: tuple[Fault, ...] = (*MODEL, *CARRIER, *BOOKS, *PROCESS)
BY_NAME = {fault.name: fault for fault in MATRIX}


def chosen(names: Sequence[str], *, quick: bool = False) -> list[Fault]:
    """The faults of these names and groups, in the order of the matrix; of none, all. Raises SetupError for one there is not."""
    groups = dict.fromkeys(fault.group for fault in MATRIX)
    for name in names:
        if name not in BY_NAME and name not in groups:
            raise SetupError(
                f"expected faults or groups ({', '.join(groups)}), got {name!r}; ./offhook chaos --list names all"
            )
    return [
        fault
        for fault in MATRIX
        if (not names or fault.name in names or fault.group in names) and (fault.quick or not quick)
    ]


def table() -> str:
    """The matrix in Markdown."""
    rows = ["| fault | what is done | the caller | silence, at most |", "|---|---|---|---|"]
    for fault in MATRIX:
        name = f"`{fault.name}`" + (" *" if fault.quick else "")
        rows.append(f"| {name} | {fault.does} | {HEARD[fault.heard]} | {fault.limit_ms / 1000:g} s |")
    return "\n".join(rows)


HEARD = {
    "talk": "talks on, every sentence whole",
    "resumed": "an apology, then talks on",
    "menu": "an apology, then the keypad menu",
    "person": "an apology, then a person",
    "voicemail": "an apology, then voicemail",
    "refused": "is not let in",
}
