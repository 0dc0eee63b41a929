"""`./offhook new-mode NAME`: a mode with its prompt, a rehearsal script and a test, which pass as they are written."""

import re
from pathlib import Path

from app.commands import new_mode_flow, new_mode_talk
from app.errors import SetupError
from app.settings import ROOT

NAME = re.compile(r"[a-z][a-z0-9_]{1,30}")
NUMBER = re.compile(r'^number = "(\+\d+)"', re.MULTILINE)


def new_mode(name: str, *, flow: bool = False, root: Path = ROOT) -> list[Path]:
    """Write the four files. flow: a mode with states. Raises SetupError, with nothing written, if the name is no name or taken."""
    if not NAME.fullmatch(name):
        raise SetupError(f"expected a name of lower case letters, digits and _ (2 to 31), got {name!r}")
    scripts = root / "app" / "sim" / "scripts"
    values = {"name": name, "title": name.replace("_", " ").capitalize(), "number": free_number(name, scripts)}
    texts = new_mode_flow if flow else new_mode_talk
    files = {
        root / "modes" / f"{name}.py": texts.MODE.format(**values),
        root / "prompts" / f"{name}.md": texts.PROMPT + new_mode_talk.PROMPT_END,
        scripts / f"{name}.toml": texts.SCRIPT.format(**values),
        root / "tests" / "modes" / f"test_{name}.py": (new_mode_talk.TEST_HEAD + texts.TEST).format(**values),
    }
    there = [str(path.relative_to(root)) for path in [*files, root / "modes" / name] if path.exists()]
    if there:
        raise SetupError(f"expected to write new files, but there is {', '.join(there)}; take another name")
    try:
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    except OSError as wrong:
        for path in files:
            path.unlink(missing_ok=True)
        raise SetupError(f"cannot write the mode's files: {wrong}") from wrong
    return list(files)


def free_number(name: str, scripts: Path) -> str:
    """A caller's number that no script has, as the stand-in knows calls by it; out of those that belong to nobody."""
    taken = {number for path in scripts.glob("*.toml") for number in NUMBER.findall(path.read_text(encoding="utf-8"))}
    begin = sum(name.encode())
    numbers = [f"+1415555{100 + (begin + n) % 100:04d}" for n in range(100)]
    return next((number for number in numbers if number not in taken), numbers[0])
