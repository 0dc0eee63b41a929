"""Lines of revisions: the house's own, and one for each mode with tables of its own (modes/NAME/migrations).

Read from the files' text, so that a ready server knows its schema without loading Alembic. A mode's revisions are called
NAME_0001, NAME_0002, ... and its first one has the branch label NAME; the house's have no name before their number.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from app.adapters.tables import REVISIONS
from app.errors import SetupError

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ROOT / "migrations" / "versions"
MODES = ROOT / "modes"

_FIELD = re.compile(r"^(revision|down_revision)\b[^=\n]*=\s*(?:None|[\"']([\w-]+)[\"'])", re.MULTILINE)


class Line(NamedTuple):
    """One line of revisions, oldest first. `name` is a mode's, or empty for the house's own."""

    name: str
    revisions: tuple[str, ...]
    folder: Path

    @property
    def head(self) -> str:
        """The newest revision that this code knows."""
        return self.revisions[-1]

    def own(self, found: set[str]) -> set[str]:
        """Those of a database's revisions that are of this line, known here or not."""
        return {revision for revision in found if revision.rpartition("_")[0] == self.name}

    def behind(self, found: set[str]) -> bool:
        """Whether a database at these revisions still needs a migration of this line. One that is ahead of this code does not."""
        own = self.own(found)
        return self.head not in own and own <= set(self.revisions)

    def ahead(self, found: set[str]) -> set[str]:
        """Revisions of this line that this code does not know."""
        return self.own(found) - set(self.revisions)


def lines(modes: Path = MODES) -> list[Line]:
    """The house's line, then those of the modes in a folder. Raises SetupError for files that do not make a line."""
    found = [Line("", REVISIONS, VERSIONS)]
    for folder in sorted(modes.glob("*/migrations")):
        if files := sorted(folder.glob("*.py")):
            found.append(Line(folder.parent.name, _in_order(folder, files), folder))
    return found


def _in_order(folder: Path, files: Sequence[Path]) -> tuple[str, ...]:
    """The revisions in a mode's folder, oldest first."""
    name = folder.parent.name
    after: dict[str, str] = {}
    for file in files:
        fields = dict(_FIELD.findall(file.read_text(encoding="utf-8")))
        revision = fields.get("revision", "")
        if revision.rpartition("_")[0] != name or "down_revision" not in fields:
            raise SetupError(
                f'{file}: expected lines `revision = "{name}_0001"` and `down_revision = None` (or the one before it), '
                f"got revision {revision!r}"
            )
        if fields["down_revision"] in after:
            raise SetupError(
                f"{file}: expected one revision after {fields['down_revision'] or 'none'}, got a second; a mode has one line"
            )
        after[fields["down_revision"]] = revision
    order: list[str] = []
    while (revision := after.pop(order[-1] if order else "", "")) and revision not in order:
        order.append(revision)
    if after:
        raise SetupError(
            f"{folder}: expected each revision to follow another, from None on; {', '.join(after.values())} does not"
        )
    return tuple(order)
