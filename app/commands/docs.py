"""`./offhook docs`: the pages of docs/ as a site in one folder, which loads nothing from elsewhere.

The generator is no part of the product: it is installed on demand from a lock of its own, into a folder of its own.
"""

import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from app.errors import SetupError
from app.settings import ROOT

PLAN = ROOT / "zensical.toml"
SITE = ROOT / "build" / "site"
MARK = ".offhook-docs"
"""Lies in a site of ours, so that no other folder is ever replaced."""
BUILD_SECONDS = 120.0
ITEM = re.compile(r"(?:[-*+]|\d\.) (?=\S)")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
COMPLAINT = re.compile(r"^Warning: (.+)\n\s*\S+\[ (\S+) \]", re.MULTILINE)
"""Two lines of the generator's: what is the matter, and `page.md:line:column`."""


def build(out: Path | None = None, *, generator: Callable[[], Path] | None = None) -> Path:
    """Build the site and put it at `out` (build/site), in place of what is there; its first page.

    generator: gives the python that has the generator; else it is installed. A link or an anchor that leads nowhere fails the
    build, and what is at `out` stays. Raises SetupError.
    """
    site = (out or SITE).absolute()
    if site.exists() and not (site / MARK).is_file():
        raise SetupError(
            f"expected a folder that is not there yet, or one that this wrote, got {site}, which is neither"
        )
    if not PLAN.is_file():
        raise SetupError(f"expected {PLAN.name} beside app, found none: run this from a checkout, not from an image")
    python = (generator or _generator)()
    with tempfile.TemporaryDirectory() as folder:
        made = _make(python, Path(folder))
        (made / MARK).touch()
        try:
            shutil.rmtree(site, ignore_errors=True)
            shutil.copytree(made, site)
        except OSError as wrong:
            raise SetupError(f"expected to write {site}, but: {wrong.strerror}; choose another with --out") from wrong
    return site / "index.html"


def _make(python: Path, folder: Path) -> Path:
    """The site, made beside a copy of the pages: the generator keeps its cache and its output next to its plan."""
    shutil.copytree(ROOT / "docs", folder / "docs")
    for page in (folder / "docs").rglob("*.md"):
        page.write_text(with_wide_lists(page.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.copy(PLAN, folder)
    command = [str(python), "-I", "-m", "zensical", "build", "--strict", "--config-file", str(folder / PLAN.name)]
    try:
        done = subprocess.run(  # noqa: S603
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
            env={"NO_COLOR": "1", "LC_ALL": "C.UTF-8"},
        )
    except (OSError, subprocess.TimeoutExpired) as wrong:
        raise SetupError(f"expected the generator to build the site, but: {wrong}") from wrong
    if done.returncode != 0:
        raise SetupError("the site was not built:\n" + _complaints(done.stdout + done.stderr))
    return folder / "build" / "site"


def with_wide_lists(text: str) -> str:
    """A page with what belongs to an item of a list four spaces in.

    The pages keep to CommonMark, where it begins under the item's first letter; Python-Markdown, which the generator reads them by,
    takes that for a new paragraph.
    """
    lines: list[str] = []
    width, gap = 0, False
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if width and line.strip() and indent < width and (gap or line.startswith(("#", "|", "```"))):
            width = 0
        if indent == 0 and (item := ITEM.match(line)):
            width = len(item[0])
            lines.append(line)
        else:
            lines.append(" " * (4 - width) + line if width and indent >= width else line)
        gap = not line.strip()
    return "\n".join(lines) + "\n"


def _complaints(said: str) -> str:
    """What a generator has against the pages, a line each; all that it said where it says it in another way."""
    plain = COLOUR.sub("", said).strip()
    found = COMPLAINT.findall(plain)
    return "\n".join(f"  - docs/{where}: {what}" for what, where in found) or plain


def _generator() -> Path:
    if importlib.util.find_spec("bench") is None:
        raise SetupError(
            "expected the folder bench beside app, found none: run this from a checkout, not from an image"
        )
    from bench.building import cache_folder
    from bench.peers.environment import ensure

    return ensure(cache_folder() / "environments", "docs")
