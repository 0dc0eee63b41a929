"""Every link leads somewhere: to a page that is there and a heading on it; and every file that is named is there."""

import re
from pathlib import Path

import pytest

from app.settings import ROOT
from tests.docs.pages import ALL_PAGES, PAGES, Link, anchors, blocks, links, prose, quoted

DOCS = ROOT / "docs"
OUTSIDE = ("http://", "https://", "mailto:")
FOLDERS = ("app", "bench", "deploy", "docs", "migrations", "modes", "prompts", "tests", "tools")
TO_BE_WRITTEN = ("hello", "florist", "front_desk", "orders", "parts")
"""Modes that a page tells how to write."""


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


def broken(link: Link) -> str:
    """Why a link leads nowhere; empty if it leads somewhere."""
    path, _, anchor = link.target.partition("#")
    target = (link.page.parent / path).resolve() if path else link.page
    if not target.exists():
        return f"{link}: there is no such file"
    if target.is_dir() and link.page.is_relative_to(DOCS):
        return f"{link}: a folder is no page of the site"
    if link.page.is_relative_to(DOCS) and not target.is_relative_to(DOCS):
        return f"{link}: the site has docs/ alone; name the file in backticks"
    if anchor and (target.suffix != ".md" or anchor not in anchors(target)):
        return f"{link}: there is no such heading; there are: {', '.join(sorted(anchors(target)))}"
    return ""


def test_there_is_something_to_check() -> None:
    assert sum(len(links(page)) for page in ALL_PAGES) > 150
    assert "the-journal-what-is-guaranteed" in anchors(DOCS / "books.md")
    assert broken(Link(DOCS / "books.md", 1, "nowhere.md"))
    assert broken(Link(DOCS / "books.md", 1, "books.md#nothing-of-the-kind"))


@pytest.mark.parametrize("page", ALL_PAGES, ids=ids)
def test_every_link_leads_to_a_page_and_a_heading_that_are_there(page: Path) -> None:
    wrong = [broken(link) for link in links(page) if not link.target.startswith(OUTSIDE)]
    assert [why for why in wrong if why] == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = [
        (number, word)
        for number, text in [*quoted(page), *((block.line, block.text) for block in blocks([page]))]
        for word in re.findall(rf"(?<![\w./:-])(?:{'|'.join(FOLDERS)})/[\w./*@-]*\w(?![\w(])", text)
    ]
    missing = [
        f"{page.name}:{number}: {word}"
        for number, word in named
        if not (ROOT / word).exists() and not list(ROOT.glob(word)) and not _to_be_written(word)
    ]
    assert missing == []


def _to_be_written(path: str) -> bool:
    """Whether it stands for files of the reader's: NAME in it, or a mode that the page has them write."""
    stem = Path(path).stem.removeprefix("test_")
    return "NAME" in path or stem.upper() == stem or stem in TO_BE_WRITTEN or Path(path).parts[1] in TO_BE_WRITTEN


@pytest.mark.parametrize("page", ALL_PAGES, ids=ids)
def test_a_list_or_table_has_an_empty_line_before_it_as_the_site_wants(page: Path) -> None:
    before, wrong = (0, ""), []
    for number, line in prose(page):
        begins = re.match(r"([-*] |\d+\. |\|)", line)
        goes_on = re.match(r"([-*] |\d+\. | |\||<!--)", before[1])
        if begins and before[0] == number - 1 and not goes_on:
            wrong.append(f"{page.name}:{number}")
        before = (number, line)
    assert wrong == []


def test_every_page_can_be_found_from_the_first() -> None:
    first = DOCS / "README.md"
    seen, ahead = {first}, [first]
    while ahead:
        for link in links(ahead.pop()):
            path = link.target.partition("#")[0]
            target = (link.page.parent / path).resolve() if path and not path.startswith(OUTSIDE) else None
            if target is not None and target.suffix == ".md" and target.exists() and target not in seen:
                seen.add(target)
                ahead.append(target)
    assert [ids(page) for page in [*DOCS.glob("*.md"), *DOCS.glob("decisions/*.md")] if page not in seen] == []
