"""Settings: read once, refused all at once, and never showing a secret."""

from datetime import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.errors import SetupError
from app.rules.office import Hours
from app.settings import ENVIRONMENT, FICTIONAL_PERSON, ROOT, SECRET, Settings, environment, load


def read(tmp_path: Path, toml: str = "", **environ: str) -> Settings:
    """Settings from these variables and this offhook.toml alone."""
    if toml:
        (tmp_path / "offhook.toml").write_text(toml, encoding="utf-8")
    return load(environ, root=tmp_path)


def faults(tmp_path: Path, toml: str = "", **environ: str) -> list[str]:
    """The lines of the one report."""
    with pytest.raises(SetupError) as refused:
        read(tmp_path, toml, **environ)
    first, *lines = str(refused.value).splitlines()
    assert first == "the settings cannot be used:"
    assert all(line.startswith("  - ") for line in lines)
    return [line.removeprefix("  - ") for line in lines]


# --- the environment --------------------------------------------------------------------------------------------------


def test_with_nothing_set_the_house_stands_on_the_documented_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.stand_in
    assert settings.realtime_url == "wss://api.openai.com/v1/realtime"
    assert settings.realtime_model == "gpt-realtime-1.5"
    assert settings.transcription_model == "gpt-live-transcribe"
    assert settings.public_url == "http://127.0.0.1:8000"
    assert settings.socket_url == "ws://127.0.0.1:8000"
    assert settings.public_is_loopback
    assert settings.data == tmp_path / ".offhook"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert (settings.max_calls, settings.max_call_seconds) == (200, 1800)
    assert (settings.dormant_seconds, settings.max_call_cost_usd, settings.first_audio_seconds) == (60, 5, 5)
    assert settings.human_transfer_number == FICTIONAL_PERSON, "a rehearsal always has a person to ring"
    assert settings.twilio_auth_tokens == ()
    assert settings.metrics_token == ""


def test_the_project_s_own_file_is_sound() -> None:
    assert load({}, root=ROOT).office.name


def test_everything_wrong_is_reported_at_once_with_what_was_expected_and_what_came(tmp_path: Path) -> None:
    report = faults(
        tmp_path,
        '[business]\nzone = "Mars/Olympus"\nslot_minutes = 1\n[business.hours]\nfunday = "08:00-17:00"\n'
        '[business.desks.sales]\nnumber = "0170"\n[calls.numbers]\n"123" = "receptionist"\n',
        REALTIME_URL="https://api.openai.com",
        REALTIME_AUTH="magic",
        REALTIME_DIALECT="klingon",
        TWILIO_ACCOUNT_SID="AC123",
        TWILIO_AUTH_TOKEN=" , ",
        TWILIO_PHONE_NUMBER="555",
        TWILIO_API_BASE="api.twilio.com",
        TWILIO_REGION="ie1",
        PUBLIC_URL="ftp://agent.example.com",
        BUSINESS_API_BASE="agent",
        HUMAN_TRANSFER_NUMBER="+0123",
        MAX_CALLS="0",
        MAX_CALL_SECONDS="soon",
        DORMANT_SECONDS="nan",
        MAX_CALL_COST_USD="inf",
        FIRST_AUDIO_SECONDS="1",
        PORT="65536",
        LOG_LEVEL="loud",
    )
    named = {line.split(":")[0] for line in report}
    assert named == {
        "REALTIME_URL", "REALTIME_AUTH", "REALTIME_DIALECT", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN",
        "TWILIO_PHONE_NUMBER", "TWILIO_API_BASE", "TWILIO_EDGE", "PUBLIC_URL", "BUSINESS_API_BASE", "HUMAN_TRANSFER_NUMBER",
        "MAX_CALLS", "MAX_CALL_SECONDS", "DORMANT_SECONDS", "MAX_CALL_COST_USD", "FIRST_AUDIO_SECONDS", "PORT", "LOG_LEVEL",
        "offhook.toml",
    }  # fmt: skip
    assert len([line for line in report if line.startswith("offhook.toml")]) == 5
    assert all("expected" in line and "got" in line for line in report)
    assert "PORT: expected a whole number from 1 to 65535, got '65536'" in report


def test_a_report_never_shows_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "got a value that is kept secret" in faults(tmp_path, TWILIO_AUTH_TOKEN=",,")[0]

    def refuse(text: str) -> Any:
        raise ValueError("something better")

    for name in SECRET:
        monkeypatch.setitem(ENVIRONMENT, name, refuse)
    report = faults(tmp_path, **{name: f"hush-{name}" for name in SECRET})
    assert len(report) == len(SECRET)
    assert "hush" not in "\n".join(report)


@pytest.mark.parametrize("name", [name for name in ENVIRONMENT if name.endswith(("KEY", "TOKEN", "PASSWORD"))])
def test_whatever_sounds_like_a_secret_is_kept_as_one(name: str) -> None:
    assert name in SECRET


@pytest.mark.parametrize(
    ("given", "origin", "sockets"),
    [
        ("https://agent.example.com", "https://agent.example.com", "wss://agent.example.com"),
        ("https://agent.example.com/", "https://agent.example.com", "wss://agent.example.com"),
        ("https://agent.example.com:8443", "https://agent.example.com:8443", "wss://agent.example.com:8443"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000", "ws://127.0.0.1:9000"),
        ("http://localhost:9000/", "http://localhost:9000", "ws://localhost:9000"),
        ("http://[::1]:9000", "http://[::1]:9000", "ws://[::1]:9000"),
        ("https://localhost", "https://localhost", "wss://localhost"),
    ],
)
def test_the_public_url_is_an_origin(tmp_path: Path, given: str, origin: str, sockets: str) -> None:
    settings = read(tmp_path, PUBLIC_URL=given)
    assert (settings.public_url, settings.socket_url) == (origin, sockets)
    assert settings.public_is_loopback is ("agent" not in given)


@pytest.mark.parametrize(
    "given",
    [
        "http://agent.example.com", "http://192.168.1.10:8000", "http://localhost.example.com", "agent.example.com",
        "https://", "https://agent.example.com/twilio", "https://agent.example.com?x=1", "https://agent.example.com#x",
        "https://user@agent.example.com", "https://user:pass@agent.example.com", "wss://agent.example.com", "https://[::1",
    ],
)  # fmt: skip
def test_a_public_url_that_the_carrier_could_not_use_is_refused(tmp_path: Path, given: str) -> None:
    (line,) = faults(tmp_path, PUBLIC_URL=given)
    assert line.startswith("PUBLIC_URL: expected ")


@pytest.mark.parametrize("name", ["PUBLIC_URL", "BUSINESS_API_BASE", "TWILIO_API_BASE"])
@pytest.mark.parametrize("port", ["0x50", "http", "99999", "-1"])
def test_a_url_with_a_port_that_is_none_is_refused(tmp_path: Path, name: str, port: str) -> None:
    (line,) = faults(tmp_path, **{name: f"https://agent.example.com:{port}"})
    assert line.startswith(f"{name}: expected a URL with a port from 1 to 65535")


def test_a_database_s_address_that_cannot_be_taken_apart_is_refused_without_its_password(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, DATABASE_URL="postgresql://ann:hush[hush@db.example.com/books")
    assert line.startswith("DATABASE_URL: expected a URL")
    assert "%5B" in line
    assert "hush" not in line


def test_a_file_that_cannot_be_read_is_a_line_of_the_report(tmp_path: Path) -> None:
    (tmp_path / "offhook.toml").mkdir()
    with pytest.raises(SetupError, match=r"offhook\.toml: .*directory"):
        load({}, root=tmp_path)


@pytest.mark.parametrize(
    ("host", "origin"),
    [("0.0.0.0", "http://127.0.0.1:9000"), ("127.0.0.1", "http://127.0.0.1:9000"), ("localhost", "http://localhost:9000")],
)  # fmt: skip
def test_without_a_public_url_it_is_where_we_listen(tmp_path: Path, host: str, origin: str) -> None:
    assert read(tmp_path, HOST=host, PORT="9000").public_url == origin


def test_a_listening_address_of_ip_6_makes_a_public_url_that_parses(tmp_path: Path) -> None:
    assert read(tmp_path, HOST="::1").public_url == "http://[::1]:8000"


def test_tokens_are_separated_by_commas(tmp_path: Path) -> None:
    assert read(tmp_path, TWILIO_AUTH_TOKEN=" old , new,").twilio_auth_tokens == ("old", "new")


def test_the_stand_in_answers_only_when_neither_key_nor_server_is_named(tmp_path: Path) -> None:
    assert not read(tmp_path, OPENAI_API_KEY="sk-1").stand_in
    assert not read(tmp_path, REALTIME_URL="ws://127.0.0.1:9/v1/realtime").stand_in
    assert read(tmp_path, OPENAI_API_KEY="").stand_in
    assert read(tmp_path, OPENAI_API_KEY="sk-1").human_transfer_number == "", "nobody is made up for real callers"


def test_an_empty_transcription_model_switches_it_off_and_other_empty_values_are_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path, TRANSCRIPTION_MODEL="", REALTIME_MODEL="", PORT="", PUBLIC_URL="")
    assert settings.transcription_model == ""
    assert (settings.realtime_model, settings.port) == ("gpt-realtime-1.5", 8000)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REALTIME_ENGINE", "xai"),
        ("REALTIME_ENGINE", "auto"),
        ("REALTIME_AUTH", "auto"),
        ("REALTIME_AUDIO", "pcm16_16k"),
    ],
)
def test_an_engine_its_key_s_header_and_its_codec_can_be_named(tmp_path: Path, name: str, value: str) -> None:
    assert getattr(read(tmp_path, **{name: value}), name.lower()) == value
    with pytest.raises(SetupError, match=f"{name}: expected one of auto, .*got 'none'"):
        read(tmp_path, **{name: "none"})


@pytest.mark.parametrize("dialect", ["auto", "ga", "flat", "hybrid"])
def test_a_dialect_can_be_named(tmp_path: Path, dialect: str) -> None:
    assert read(tmp_path, REALTIME_DIALECT=dialect).realtime_dialect == dialect


@pytest.mark.parametrize(
    ("environ", "base"),
    [
        ({}, "https://api.twilio.com"),
        ({"TWILIO_EDGE": "dublin", "TWILIO_REGION": "ie1"}, "https://api.dublin.ie1.twilio.com"),
        ({"TWILIO_EDGE": "sydney", "TWILIO_REGION": "au1"}, "https://api.sydney.au1.twilio.com"),
        ({"TWILIO_EDGE": "ashburn"}, "https://api.ashburn.us1.twilio.com"),
        ({"TWILIO_API_BASE": "http://127.0.0.1:9/"}, "http://127.0.0.1:9"),
    ],
)
def test_edge_and_region_make_the_carrier_s_host(tmp_path: Path, environ: dict[str, str], base: str) -> None:
    assert read(tmp_path, **environ).twilio_api_base == base


def test_a_region_without_an_edge_is_a_dead_host_and_refused(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, TWILIO_REGION="ie1")
    assert line.startswith("TWILIO_EDGE: expected ")
    assert "'ie1'" in line


def test_the_data_folder_is_beside_the_project_unless_it_is_absolute(tmp_path: Path) -> None:
    assert read(tmp_path, OFFHOOK_DATA="here").data == tmp_path / "here"
    assert read(tmp_path, OFFHOOK_DATA=str(tmp_path / "there")).data == tmp_path / "there"
    assert read(tmp_path, OFFHOOK_DATA="~/there").data == Path.home() / "there"
    (line,) = faults(tmp_path, OFFHOOK_DATA="~no-such-account/there")
    assert line.startswith("OFFHOOK_DATA: expected a folder")


# --- .env -------------------------------------------------------------------------------------------------------------


def test_the_environment_is_stronger_than_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".env").write_text("PORT=9001\nREALTIME_MODEL=from-file\n# LOG_LEVEL=debug\nMETRICS_TOKEN=\n")
    monkeypatch.setenv("PORT", "9002")
    settings = load(root=tmp_path)
    assert (settings.port, settings.realtime_model) == (9002, "from-file")
    assert (settings.log_level, settings.metrics_token) == ("info", "")


def test_without_an_env_file_the_environment_is_all_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALTIME_MODEL", "from-environment")
    assert environment(tmp_path)["REALTIME_MODEL"] == "from-environment"


# --- offhook.toml -----------------------------------------------------------------------------------------------------


def test_a_business_without_desks_has_its_person(tmp_path: Path) -> None:
    (tmp_path / "offhook.toml").write_text('[business]\nname = "Ours"\n')
    office = load({"HUMAN_TRANSFER_NUMBER": "+14155550172"}, root=tmp_path).office
    assert [(desk.name, desk.number) for desk in office.desks.values()] == [("person", "+14155550172")]
    assert load({"OPENAI_API_KEY": "sk-1"}, root=tmp_path).office.desks == {}


def test_the_business_is_read_with_its_hours_desks_and_numbers(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        '[business]\nname = "Seaside"\nzone = "Europe/Berlin"\nslot_minutes = 45\n'
        '[business.hours]\nmonday = "08:00-17:30"\nsunday = " 10:00 - 12:00 "\n'
        '[business.desks.sales]\nabout = "buying"\n[business.desks.billing]\nnumber = "+14155550171"\n'
        '[calls]\ndefault_mode = "csr"\n[calls.numbers]\n"+14155550199" = "ivr"\n',
        HUMAN_TRANSFER_NUMBER="+14155550172",
        OPENAI_API_KEY="sk-1",
    )
    office = settings.office
    assert (office.name, office.zone, office.slot_minutes) == ("Seaside", ZoneInfo("Europe/Berlin"), 45)
    assert office.hours == {"monday": Hours(time(8), time(17, 30)), "sunday": Hours(time(10), time(12))}
    assert office.desks["sales"].number == "+14155550172", "a desk without a number rings the person"
    assert office.desks["billing"].number == "+14155550171"
    assert (settings.default_mode, settings.numbers) == ("csr", {"+14155550199": "ivr"})


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("colour = 'red'", "colour"),
        ("[business]\nnmae = 'x'", "nmae"),
        ("[business.desks.sales]\nphone = '1'", "phone"),
        ("[calls]\nmode = 'x'", "mode"),
        ("[business]\nslot_minutes = 'x'", "slot_minutes"),
        ("[business]\nslot_minutes = 4", "slot_minutes: expected 5 to 480, got 4"),
        ("[business]\nslot_minutes = 481", "slot_minutes: expected 5 to 480, got 481"),
        ("[business]\nzone = ''", "business.zone"),
        ("[business]\nzone = 'Central'", "'Central'"),
        ("[business]\nzone = '../../etc/passwd'", "business.zone"),
        ("[business]\nzone = 'America'", "business.zone"),
        ("[calls.numbers]\n'4155550199' = 'x'", "'4155550199'"),
        ("[business.desks.sales]\nnumber = 'two'", "business.desks.sales.number"),
        ("not toml", "offhook.toml"),
        ("[business", "offhook.toml"),
    ],
)
def test_a_business_that_cannot_be_is_refused_by_name(tmp_path: Path, toml: str, says: str) -> None:
    (line,) = faults(tmp_path, toml)
    assert line.startswith("offhook.toml: ")
    assert says in line


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        ("funday", "08:00-17:00"), ("Monday", "08:00-17:00"), ("monday", ""), ("monday", "08:00"), ("monday", "-"),
        ("monday", "17:00-08:00"), ("monday", "08:00-08:00"), ("monday", "25:00-26:00"), ("monday", "nine-five"),
        ("monday", "08:00-12:00-17:00"),
    ],
)  # fmt: skip
def test_hours_that_no_clock_shows_are_refused(tmp_path: Path, day: str, hours: str) -> None:
    (line,) = faults(tmp_path, f'[business.hours]\n{day} = "{hours}"\n')
    assert f"business.hours.{day}" in line
    assert repr(hours) in line


@pytest.mark.parametrize("hours", ["08:00Z-17:00", "08:00+02:00-17:00"])
def test_hours_with_a_zone_of_their_own_are_refused(tmp_path: Path, hours: str) -> None:
    (line,) = faults(tmp_path, f'[business.hours]\nmonday = "{hours}"\n')
    assert "business.hours.monday" in line


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "offhook.toml").write_bytes(b"\xff\xfe")
    assert faults(tmp_path)[0].startswith("offhook.toml: ")
