"""The pages as tests read them: blocks of code, links, anchors, tables, and the words in backticks."""

import re
from functools import cache
from pathlib import Path

import msgspec

from app.settings import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
ALL_PAGES = sorted([*PAGES, *(ROOT / "docs" / "decisions").glob("*.md")])
FENCE = re.compile(r"^( *)(```+|~~~+)(.*)$")
LIST_ITEM = re.compile(r"^( *)(?:[-*+]|\d+\.) +")
CODE = re.compile(r"`([^`]+)`")


class Block(msgspec.Struct, frozen=True):
    """One block of code. `line`: of its first line, from 1; `kind`: what a fence says, empty for an indented one."""

    page: Path
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


class Link(msgspec.Struct, frozen=True):
    """One link or picture, as it is written."""

    page: Path
    line: int
    target: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line} -> {self.target}"


@cache
def parts(page: Path) -> tuple[tuple[tuple[int, str], ...], tuple[Block, ...]]:
    """Prose by numbered lines, and blocks of code. A block is fenced, or is four spaces further in than its list's text."""
    prose: list[tuple[int, str]] = []
    blocks: list[Block] = []
    held: list[str] = []
    began, fence, kind, inner, gap = 0, "", "", 0, True

    def close() -> None:
        nonlocal held
        if held:
            while held and not held[-1].strip():
                held.pop()
            least = min(len(line) - len(line.lstrip()) for line in held if line.strip())
            blocks.append(Block(page, began, kind, "\n".join(line[least:] for line in held) + "\n"))
        held = []

    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if fence:
            if line.strip() == fence:
                close()
                fence = kind = ""
            else:
                held.append(line)
            continue
        if opened := FENCE.match(line):
            close()
            fence, kind, began = opened[2], opened[3].strip(), number + 1
            continue
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent >= inner + 4 and (gap or held):
            if not held:
                began, kind = number, ""
            held.append(line)
            continue
        if not line.strip():
            if held:
                held.append(line)
            gap = True
            continue
        close()
        gap = False
        if item := LIST_ITEM.match(line):
            inner = len(item[0]) if item[1] or indent == 0 else inner
        elif indent == 0:
            inner = 0
        prose.append((number, line))
    close()
    return tuple(prose), tuple(blocks)


def blocks(pages: list[Path] | None = None) -> list[Block]:
    """All blocks of code of these pages; of the README and docs/*.md if none are named."""
    return [block for page in (pages or PAGES) for block in parts(page)[1]]


def prose(page: Path) -> tuple[tuple[int, str], ...]:
    """The lines that are no code."""
    return parts(page)[0]


def links(page: Path) -> list[Link]:
    """All links and pictures, but those inside backticks."""
    return [
        Link(page, number, target)
        for number, line in prose(page)
        for target in re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", line).replace("[]", "[x]"))
    ]


def quoted(page: Path) -> list[tuple[int, str]]:
    """What stands in backticks, with the line."""
    return [(number, text) for number, line in prose(page) for text in CODE.findall(line)]


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as both the site's generator and code hosts make them."""
    found: list[str] = []
    for _, line in prose(page):
        if heading := re.match(r"#{1,6} +(.+?)\s*$", line):
            plain = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", heading[1]).replace("`", "")
            slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
            found.append(slug if slug not in found else f"{slug}-{found.count(slug)}")
    return frozenset(found)


def rows(page: Path, first: str) -> list[list[str]]:
    """The rows of every table of a page whose head begins with this cell; cells without their backticks' neighbours' space."""
    found: list[list[str]] = []
    inside = False
    for _, line in prose(page):
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not line.startswith("|"):
            inside = False
        elif cells and cells[0] == first:
            inside = True
        elif inside and not set(line) <= set("|-: "):
            found.append(cells)
    return found
