"""Snapshots: whole or not there at all, never a secret, and a way back that loses nothing."""

from pathlib import Path

import pytest

from app.adapters import snapshots
from app.adapters.snapshots import About, differences, every, folder_of, keep, now, present, put, read
from app.adapters.synced import write
from app.errors import SetupError

CANARY = "sk-canary-0123456789"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout's part that is kept, among what is not."""
    for name, text in {
        "offhook.toml": "[business]\n",
        "prompts/house.md": "Speak briefly.",
        "modes/__init__.py": "",
        "modes/shop/mode.py": "mode = 1\n",
        "modes/shop/__pycache__/mode.pyc": "bytecode",
        ".env": f"OPENAI_API_KEY={CANARY}\n",
        "modes/.env": f"OPENAI_API_KEY={CANARY}\n",
        "prompts/.house.md.swp": CANARY,
        "app/main.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "prompts" / "linked.md").symlink_to(tmp_path / ".env")
    return tmp_path


def about(name: str) -> About:
    return About(name=name, at=now(), commit="abc", models={"shop": "gpt"})


def test_what_was_kept_is_read_again_and_is_its_owners_alone(root: Path) -> None:
    data = root / ".offhook"
    where = keep(data, about("first"), present(root), [CANARY])
    found, texts = read(data, "first")
    assert (found.name, found.commit, found.models) == ("first", "abc", {"shop": "gpt"})
    assert sorted(texts) == ["modes/__init__.py", "modes/shop/mode.py", "offhook.toml", "prompts/house.md"]
    assert texts == present(root)
    assert where.stat().st_mode & 0o077 == 0
    assert [one.name for one in every(data)] == ["first"]


def test_no_byte_of_a_secret_is_in_a_snapshot_and_a_file_that_has_one_is_refused(root: Path) -> None:
    data = root / ".offhook"
    keep(data, about("clean"), present(root), [CANARY])
    kept = [path for path in folder_of(data).rglob("*") if path.is_file()]
    assert len(kept) == 5
    assert not [path for path in kept if CANARY.encode() in path.read_bytes()]

    (root / "modes" / "shop" / "mode.py").write_text(f"KEY = '{CANARY}'\n")
    with pytest.raises(SetupError, match=r"modes/shop/mode\.py") as refused:
        keep(data, about("leaky"), present(root), [CANARY])
    assert CANARY not in str(refused.value)
    assert [one.name for one in every(data)] == ["clean"]


def test_a_half_written_one_is_neither_listed_nor_read_nor_left(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = root / ".offhook"
    real, seen = write, list[list[str]]()

    def full(path: Path, text: bytes, *, mode: int = 0o600) -> None:
        seen.append([one.name for one in every(data)])
        if path.name == "house.md":
            raise OSError(28, "No space left on device")
        real(path, text, mode=mode)

    monkeypatch.setattr(snapshots, "write", full)
    with pytest.raises(SetupError, match="No space left"):
        keep(data, about("half"), present(root), [])
    assert seen == [[]] * len(seen)
    assert list(folder_of(data).iterdir()) == []
    with pytest.raises(SetupError, match="none at all"):
        read(data, "half")


def test_a_name_is_taken_once_and_leads_nowhere_else(root: Path) -> None:
    data = root / ".offhook"
    keep(data, about("one"), present(root), [])
    with pytest.raises(SetupError, match="already"):
        keep(data, about("one"), present(root), [])
    for name in ("../one", "a/b", ".hidden", "", "restore", "x" * 81):
        with pytest.raises(SetupError, match="letters"):
            keep(data, about(name), present(root), [])


def test_going_back_changes_removes_and_brings_back_and_nothing_else(root: Path) -> None:
    before = present(root)
    (root / "prompts" / "house.md").write_text("Speak slowly.")
    (root / "prompts" / "new.md").write_text("New.")
    (root / "modes" / "shop" / "mode.py").unlink()
    (root / "offhook.toml").chmod(0o640)
    lines = differences(present(root), before)
    for line in ("-Speak slowly.", "+Speak briefly.", "-New.", "+mode = 1", "+++ /dev/null", "--- /dev/null"):
        assert line in lines
    put(root, before)
    assert present(root) == before
    assert (root / ".env").exists()
    assert (root / "offhook.toml").stat().st_mode & 0o777 == 0o640
    assert differences(present(root), before) == []


def test_a_way_back_that_fails_in_the_middle_changes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = present(root)
    (root / "prompts" / "house.md").write_text("Speak slowly.")
    (root / "modes" / "shop" / "mode.py").write_text("mode = 2\n")
    edited, real = present(root), write

    def full(path: Path, text: bytes, *, mode: int = 0o600) -> None:
        if "house.md" in path.name:
            raise OSError(28, "No space left on device", str(path))
        real(path, text, mode=mode)

    monkeypatch.setattr(snapshots, "write", full)
    with pytest.raises(SetupError, match="nothing was restored"):
        put(root, before)
    assert present(root) == edited
    assert list(root.rglob(".mode.py.*")) == []
