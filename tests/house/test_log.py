"""Log lines: JSON where no person reads them, keyed by their call, and what they may not show is masked, wherever it came from."""

import asyncio
import gc
import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from app import log as our_log
from app.calls.tickets import Tickets
from app.errors import SetupError
from tests.house.samples import make_settings


@pytest.fixture
def stderr(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged, in the form of the parameter. Logging is as it was before afterwards."""
    before, handlers = structlog.get_config(), list(logging.getLogger().handlers)
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(our_log, "_hidden", set())
    monkeypatch.setattr(our_log, "_keys", {})
    our_log.configure("info", secrets=["s3cr3t-token", "abc", 'pa"ss\\word'], form=getattr(request, "param", "text"))
    yield stream
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers


@pytest.mark.parametrize("number", ["+14155550133", "%2B14155550133", "14155550133", "4155550133", "+442079460958"])
def test_numbers_keep_their_last_two_digits(number: str) -> None:
    shown = our_log.masked(f"from='{number}' to=[{number}]: {number}.")
    assert number.lstrip("+%2B") not in shown
    assert shown.count(f"[number ..{number[-2:]}]") == 3


@pytest.mark.parametrize(
    "line",
    [
        "call_sid='CA00000000000000000000000014155550'",
        "timestamp='2026-11-24T12:00:00.123456Z' cpu_seconds=1234567.12345678901",
        "reference=AB12 ms=125 bytes=1048576",
    ],
)
def test_what_is_no_number_is_left_alone(line: str) -> None:
    assert our_log.masked(line) == line


def test_secrets_and_numbers_are_masked_in_events_and_in_tracebacks_without_variables(stderr: io.StringIO) -> None:
    log = structlog.get_logger()
    words = "what the caller said"
    try:
        raise SetupError(f"no {'s3cr3t-token'} for +14155550133")
    except SetupError:
        log.exception("failed", number="+14155550133", also=["s3cr3t-token"])
    shown = stderr.getvalue()
    assert "SetupError: no [secret] for [number ..33]" in shown
    assert "4155550133" not in shown
    assert "s3cr3t" not in shown
    assert words not in shown


def test_lines_of_libraries_are_masked_too(stderr: io.StringIO) -> None:
    our_log.hide("made-later")
    try:
        raise SetupError("+14155550133 and made-later")
    except SetupError:
        logging.getLogger("asyncio").exception("task of %s", "+14155550133")
    shown = stderr.getvalue()
    assert "task of [number ..33]" in shown
    assert "SetupError: [number ..33] and [secret]" in shown


def test_a_short_secret_does_not_mask_parts_of_words(stderr: io.StringIO) -> None:
    structlog.get_logger().info("abcdef")
    assert "abcdef" in stderr.getvalue()


# --- JSON ---------------------------------------------------------------------------------------------------------------


JSON = pytest.mark.parametrize("stderr", ["json"], indirect=True)


def lines(stderr: io.StringIO) -> list[dict[str, Any]]:
    """What was logged; every line must be an object of its own."""
    return [json.loads(line) for line in stderr.getvalue().splitlines()]


@pytest.mark.parametrize(("stderr", "is_json"), [("auto", True), ("json", True), ("text", False)], indirect=["stderr"])
def test_where_no_person_reads_it_is_json_and_a_setting_says_otherwise(stderr: io.StringIO, is_json: bool) -> None:
    structlog.get_logger().info("said", what="a b")
    logging.getLogger("hypercorn.error").warning("also said")
    shown = stderr.getvalue().splitlines()
    assert [line.startswith("{") for line in shown] == [is_json, is_json]
    assert make_settings().log_format == "auto"


@JSON
def test_a_line_of_json_is_one_whatever_is_in_it_and_masked(stderr: io.StringIO) -> None:
    odd = {
        "to": "+14155550133",
        ("a", 1): [14155550133, 12, 1.5, float("nan"), None, True, b"s3cr3t-token", {"deep": {"x"}}],
    }
    structlog.get_logger().warning("odd\nvalues\ud800", odd=odd, secret='a pa"ss\\word', number=14155550133, ms=125)
    (line,) = lines(stderr)
    assert (line["event"], line["level"], line["ms"]) == ("odd\nvalues\ud800", "warning", 125)
    assert line["secret"] == "a [secret]"
    assert line["number"] == "[number ..33]"
    assert line["odd"]["to"] == "[number ..33]"
    (values,) = [value for key, value in line["odd"].items() if key != "to"]
    assert values[:6] == ["[number ..33]", 12, 1.5, "nan", None, True]
    assert "s3cr3t" not in stderr.getvalue()


def test_a_ticket_in_a_stream_s_url_is_masked_whoever_names_it() -> None:
    ticket = Tickets(["token"], "m1").make("csr", "CA" + "1" * 32, 2, 30.0)
    shown = our_log.masked(f"31920: wss://a.example/voice/ws/csr/{ticket}: 403, and /voice/ws/csr")
    assert shown == "31920: wss://a.example/voice/ws/csr/[ticket]: 403, and /voice/ws/csr"


@JSON
def test_a_traceback_is_a_part_of_its_line(stderr: io.StringIO) -> None:
    try:
        raise SetupError("+14155550133")
    except SetupError:
        structlog.get_logger().exception("ours")
        logging.getLogger("asyncio").exception("theirs of %s", "+14155550133")
    ours, theirs = lines(stderr)
    assert theirs["event"] == "theirs of [number ..33]"
    assert (theirs["logger"], theirs["level"]) == ("asyncio", "error")
    for line in (ours, theirs):
        assert line["exception"].endswith("SetupError: [number ..33]")


@pytest.mark.parametrize("stderr", ["json", "text"], indirect=True)
async def test_what_an_exception_says_may_be_a_caller_s_and_is_in_no_line(stderr: io.StringIO) -> None:
    said = "my name is zebra"

    async def tool() -> None:
        try:
            int(said)
        except ValueError as wrong:
            raise ExceptionGroup(said, [KeyError(said), wrong]) from wrong

    try:
        await tool()
    except ExceptionGroup:
        structlog.get_logger().exception("a tool failed", tool="book")
        logging.getLogger("hypercorn.error").exception("Error in ASGI Framework")
    task = asyncio.create_task(tool())
    await asyncio.wait([task])
    del task
    gc.collect()  # asyncio tells of a task that failed and that nobody asked
    shown = stderr.getvalue()
    assert "Task exception was never retrieved" in shown
    assert "zebra" not in shown
    for told in ("ExceptionGroup: 2 of them", "ValueError", "KeyError", "test_log.py", "the direct cause", "int(said)"):
        assert told in shown


# --- whose line it is ---------------------------------------------------------------------------------------------------


@JSON
async def test_lines_of_a_call_are_keyed_alike_however_they_come_about(stderr: io.StringIO) -> None:
    log = structlog.get_logger()
    our_log.knows_call("CA1", mode="receptionist", version="7")
    over = asyncio.Event()

    def timer() -> None:
        log.info("in a timer")
        over.set()

    async def tool() -> None:
        log.info("in a task")
        logging.getLogger("httpx").warning("by a library")

    with our_log.of_call("CA1"):
        our_log.knows_call("CA1", stream_sid="MZ1")
        log.info("in a callback")
        work = asyncio.create_task(tool())
        asyncio.get_running_loop().call_soon(timer)
        with our_log.of_call("CA2"):
            log.info("of another")
    log.info("of none", call_sid="")
    log.info("by name", call_sid="CA1", mode="its own")
    await work
    await over.wait()
    found = {line["event"]: line for line in lines(stderr)}
    for event in ("in a callback", "in a task", "by a library", "in a timer"):
        told = {key: found[event][key] for key in ("call_sid", "stream_sid", "mode", "version")}
        assert told == {"call_sid": "CA1", "stream_sid": "MZ1", "mode": "receptionist", "version": "7"}, event
    assert (found["by name"]["stream_sid"], found["by name"]["mode"]) == ("MZ1", "its own")
    assert found["of another"]["call_sid"] == "CA2"
    assert "mode" not in found["of another"]
    assert "call_sid" not in found["of none"]
    assert our_log.this_call() == ""


@JSON
def test_a_call_that_is_forgotten_has_no_keys_any_more(stderr: io.StringIO) -> None:
    our_log.knows_call("CA1", mode="receptionist")
    our_log.forgets_call("CA1")
    structlog.get_logger().info("late", call_sid="CA1")
    (line,) = lines(stderr)
    assert (line["call_sid"], "mode" in line) == ("CA1", False)
