"""Fallback engines in offhook.toml: what is taken, what is refused, and that no key is ever shown."""

from pathlib import Path

import pytest

from app.errors import SetupError
from app.settings import Settings, load

GOOD = """
[[fallback_engine]]
name = "azure"
url = "wss://desk.openai.azure.com/openai/v1/realtime"
model = "desk"
key_env = "AZURE_KEY"

[[fallback_engine]]
url = "ws://127.0.0.1:9/v1/realtime"
"""


def read(tmp_path: Path, text: str, **environ: str) -> Settings:
    (tmp_path / "offhook.toml").write_text(text, encoding="utf-8")
    return load(environ, root=tmp_path)


def test_they_are_read_in_order_with_their_keys_from_the_environment(tmp_path: Path) -> None:
    first, second = read(tmp_path, GOOD, AZURE_KEY="k-1").fallback_engines
    assert (first.name, first.model, first.key) == ("azure", "desk", "k-1")
    assert (second.name, second.model, second.key) == ("fallback-2", "", "")
    assert "k-1" not in repr(first)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('url = "https://x.example"', "wss://"),
        ('url = "wss://x.example:99999"', "a port from 1 to 65535"),
        ('url = "wss://[x.example"', "url: expected"),
        ('url = "wss://me:secret-1@x.example"', "no login"),
        ('url = "wss://x.example"\nkey_env = "sk-secret-1"', "the name of an environment variable"),
        ('url = "wss://x.example"\nkey_env = "NOT_THERE"', "NOT_THERE, which is not set"),
        ('url = "wss://x.example"\nkey = "secret-1"', "unknown field"),
        ('url = "wss://x.example"\nname = "main"', "a name of its own"),
        ('url = "wss://x.example"\ndialect = "klingon"', "one of auto, ga"),
        ('model = "m"', "url"),
    ],
)
def test_what_is_wrong_is_told_without_a_secret(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(SetupError) as refused:
        read(tmp_path, f"[[fallback_engine]]\n{line}\n")
    assert told in str(refused.value)
    assert "secret-1" not in str(refused.value)
