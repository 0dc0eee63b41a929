"""The site: built by one command, into a folder of its own, without asking another host; a broken page leaves the old site."""

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from app import cli
from app.commands import docs
from app.errors import SetupError
from app.settings import ROOT

PLAN: dict[str, Any] = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]

STAND_IN = """#!{python}
import pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--config-file") + 1]).parent
assert "--strict" in sys.argv and (folder / "docs" / "README.md").is_file()
if {complaint!r}:
    sys.exit("Build started\\n" + {complaint!r})
site = folder / "build" / "site"
site.mkdir(parents=True)
(site / "index.html").write_text("built")
"""
COMPLAINT = "\x1b[33mWarning:\x1b[0m anchor does not exist\n    ╭─[ settings.md:34:204 ]\n"


def stand_in(folder: Path, complaint: str = "") -> Path:
    """A generator that is none: it looks at how it is called, and writes one page or complains."""
    program = folder / "python"
    program.write_text(STAND_IN.format(python=sys.executable, complaint=complaint))
    program.chmod(0o700)
    return program


def test_the_site_is_built_strictly_and_takes_the_place_of_the_last_one(tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert docs.build(site, generator=lambda: stand_in(tmp_path)) == site / "index.html"
    (site / "of-an-earlier-page.html").touch()
    docs.build(site, generator=lambda: stand_in(tmp_path))
    assert sorted(path.name for path in site.iterdir()) == [".offhook-docs", "index.html"]


def test_a_broken_link_is_told_with_its_place_and_the_site_stays_as_it_was(tmp_path: Path) -> None:
    site = tmp_path / "site"
    docs.build(site, generator=lambda: stand_in(tmp_path))
    with pytest.raises(SetupError) as refused:
        docs.build(site, generator=lambda: stand_in(tmp_path, COMPLAINT))
    assert str(refused.value) == "the site was not built:\n  - docs/settings.md:34:204: anchor does not exist"
    assert (site / "index.html").read_text() == "built"


def test_a_folder_that_is_no_site_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "index.html").touch()
    assert cli.main(["docs", "--out", str(tmp_path)]) == 1
    assert "neither" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_what_belongs_to_an_item_of_a_list_is_moved_to_where_the_generator_looks_for_it() -> None:
    page = (
        "1. One.\n\n       code\n\n   - inner\n     goes on\n2. Two,\n   goes on.\n\nX.\n\n    code\n\n- A.\n\n  B.\n"
    )
    wide = "1. One.\n\n        code\n\n    - inner\n      goes on\n2. Two,\n    goes on.\n\nX.\n\n    code\n\n- A.\n\n    B.\n"
    assert docs.with_wide_lists(page) == wide


def pages(entry: Any) -> list[str]:
    match entry:
        case str():
            return [entry]
        case list():
            return [page for one in entry for page in pages(one)]
        case dict():
            return [page for one in entry.values() for page in pages(one)]
    raise TypeError(entry)


def test_every_page_has_one_place_in_the_contents() -> None:
    listed = pages(PLAN["nav"])
    there = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(listed) == sorted(there)


def test_the_site_asks_no_other_host_for_anything() -> None:
    assert PLAN["theme"]["font"] is False
    assert not {"repo_url", "extra", "extra_javascript", "plugins"} & set(PLAN), (
        "badges, analytics, and the plugin for offline use do"
    )
    assert all(not name.startswith("http") for name in PLAN.get("extra_css", []))


def test_the_generator_s_lock_has_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements-docs.lock").read_text(encoding="utf-8")
    assert "zensical==" in lock
    assert "://" not in lock
    assert all(
        "--hash=sha256:" in block for block in lock.split("\n")[1:] if block.strip() and block.startswith("    ")
    )
