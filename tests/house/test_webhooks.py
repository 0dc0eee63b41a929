"""[[webhook]] of offhook.toml: what it may say, how it is told what is wrong with it, and that no message has a secret in it."""

from pathlib import Path

import msgspec
import pytest

from app.errors import SetupError
from app.mode import Mode
from app.registry import find
from app.settings import Settings, load

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDC2FVsBQIhrsc"
PLAIN = '[[webhook]]\nurl = "https://crm.example/hooks?token=hush"\nsecret = "CRM_SECRET"\n'


def read(folder: Path, toml: str, **environ: str) -> Settings:
    (folder / "offhook.toml").write_text(toml, encoding="utf-8")
    return load(environ, root=folder)


def faults(folder: Path, toml: str, **environ: str) -> list[str]:
    with pytest.raises(SetupError) as refused:
        read(folder, toml, **environ)
    return [line.removeprefix("  - ") for line in str(refused.value).splitlines()[1:]]


def test_a_webhook_is_a_url_and_where_its_secret_is(tmp_path: Path) -> None:
    (webhook,) = read(tmp_path, PLAIN, CRM_SECRET=SECRET).webhooks
    assert (webhook.name, webhook.url) == ("crm.example/hooks", "https://crm.example/hooks?token=hush")
    assert (webhook.secrets, webhook.events, webhook.modes) == ((SECRET,), ("call.finished",), ())
    assert webhook.wants("call.finished", "csr")
    assert SECRET not in repr(webhook)
    assert "hush" not in repr(webhook)


def test_there_is_none_unless_somebody_wants_one(tmp_path: Path) -> None:
    assert read(tmp_path, "").webhooks == ()


def test_a_webhook_may_have_a_name_modes_and_two_secrets(tmp_path: Path) -> None:
    more = PLAIN + 'name = "crm"\nmodes = ["csr"]\nevents = ["call.finished"]\n'
    (webhook,) = read(tmp_path, more, CRM_SECRET=f"{SECRET}, {OTHER}").webhooks
    assert (webhook.name, webhook.modes, webhook.secrets) == ("crm", ("csr",), (SECRET, OTHER))
    assert not webhook.wants("call.finished", "ivr")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:8080/x", "https://a.example"]
)
def test_http_is_for_this_machine_alone(tmp_path: Path, url: str) -> None:
    assert read(tmp_path, f'[[webhook]]\nurl = "{url}"\nsecret = "S"\n', S=SECRET).webhooks[0].url == url


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://crm.example/hooks", "https://HOST"),
        ("http://10.0.0.1/hooks", "https://HOST"),
        ("ftp://crm.example", "https://HOST"),
        ("crm.example/hooks", "https://HOST"),
        ("", "https://HOST"),
        ("https://", "https://HOST"),
        ("https://crm.example:99999/", "a URL with a port"),
        ("https://user:hush@crm.example/", "a URL without user, password"),
        ("https://crm.example/#part", "a URL without user, password"),
        ("https://crm.example/a b", "a URL of ASCII characters"),
        ("https://krämer.example/", "a URL of ASCII characters"),
    ],
)
def test_a_url_that_is_none_is_refused(tmp_path: Path, url: str, wanted: str) -> None:
    (fault,) = faults(tmp_path, f'[[webhook]]\nurl = "{url}"\nsecret = "S"\nname = "crm"\n', S=SECRET)
    assert fault.startswith(f"offhook.toml: webhook 1.url: expected {wanted}")
    assert "hush" not in fault


@pytest.mark.parametrize(
    "secret", ["hush", "whsec_hush", "whsec_", "whsec_!!!!", SECRET.removeprefix("whsec_"), SECRET * 3]
)
def test_a_secret_that_is_none_is_refused_and_not_shown(tmp_path: Path, secret: str) -> None:
    (fault,) = faults(tmp_path, PLAIN, CRM_SECRET=secret)
    assert fault.startswith("CRM_SECRET: expected whsec_ and 24 to 64 bytes in base64, got a value that is kept secret")
    assert "./offhook webhooks secret" in fault


def test_a_secret_that_nobody_set_is_missed_and_one_in_the_file_is_refused_unseen(tmp_path: Path) -> None:
    assert faults(tmp_path, PLAIN) == [
        "offhook.toml: webhook 1.secret: expected a secret in CRM_SECRET, got none. `./offhook webhooks secret` makes one"
    ]
    (fault,) = faults(tmp_path, PLAIN.replace("CRM_SECRET", SECRET))
    assert "expected the name of an environment variable" in fault
    assert SECRET not in fault


def test_all_faults_of_all_webhooks_are_in_one_report(tmp_path: Path) -> None:
    toml = PLAIN + 'events = ["call.begun"]\n' + PLAIN + "events = []\n" + PLAIN + 'name = "Big Name"\n'
    found = faults(tmp_path, toml, CRM_SECRET=SECRET)
    assert [fault.split(": expected")[0] for fault in found] == [
        "offhook.toml: webhook 1.events",
        "offhook.toml: webhook 2.name",
        "offhook.toml: webhook 2.events",
        "offhook.toml: webhook 3.name",
    ]


@pytest.mark.parametrize("line", ["retries = 3", "modes = 3", "secret = 3"])
def test_unknown_keys_and_wrong_types_are_refused(tmp_path: Path, line: str) -> None:
    toml = "\n".join(part for part in PLAIN.splitlines() if part.split(" ")[0] != line.split(" ")[0])
    (fault,) = faults(tmp_path, f"{toml}\n{line}\n", CRM_SECRET=SECRET)
    assert fault.startswith("offhook.toml: ")
    assert "webhook" in fault


def test_a_mode_that_nobody_has_is_refused(tmp_path: Path) -> None:
    settings = read(tmp_path, PLAIN + 'modes = ["receptionist", "nobody"]\n', CRM_SECRET=SECRET)
    with pytest.raises(SetupError, match=r"webhook 'crm.example/hooks': modes: expected some of .*, got 'nobody'"):
        find(settings)


def test_a_mode_completes_fields_of_its_outcome_and_no_others() -> None:
    from app.afterword import faults as afterword_faults

    class Outcome(msgspec.Struct):
        name: str = ""

    bare = Mode(name="m", prompt="m.md", tools=[])
    assert afterword_faults(bare) == []
    change = msgspec.structs.replace
    assert afterword_faults(change(bare, completes=["name"])) == [
        "completes: expected an outcome whose fields it names, got none"
    ]
    assert afterword_faults(change(bare, completes=["name"], outcome=Outcome)) == []
    assert afterword_faults(change(bare, completes=["nom"], outcome=Outcome)) == [
        "completes: expected fields of Outcome (name), got 'nom'"
    ]
