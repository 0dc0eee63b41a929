"""docs/webhooks.md shows what is sent: every field, and none that is not."""

import json
import re
from typing import Any

import msgspec

from app.adapters.deliveries import KEPT_DAYS, RETRY_SECONDS, SENT_DAYS
from app.adapters.finished_call import Message, schema
from app.adapters.webhook_post import CONNECT_SECONDS, TOTAL_SECONDS
from app.jobs.courier import PLACES
from app.settings import ROOT

PAGE = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")


def example() -> str:
    (found,) = re.findall(r"^```json\n(.+?)^```", PAGE, re.S | re.M)
    return str(found)


def test_the_example_is_a_message_with_every_field_and_no_other() -> None:
    message = msgspec.json.decode(example(), type=Message)
    assert json.loads(msgspec.json.encode(message)) == json.loads(example())


def test_the_schema_has_the_same_fields_and_names_none_optional_that_is_always_sent() -> None:
    kinds: dict[str, Any] = schema()["$defs"]
    data = json.loads(example())["data"]
    assert list(kinds["FinishedCall"]["properties"]) == list(data)
    assert set(kinds["FinishedCall"]["required"]) == set(data)
    assert kinds["Message"]["properties"]["type"]["enum"] == ["call.finished"]


def test_the_page_s_numbers_are_the_code_s() -> None:
    assert "after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h" in PAGE
    assert [round(seconds) for seconds in RETRY_SECONDS] == [
        5,
        300,
        1800,
        *(3600 * hours for hours in (2, 5, 10, 14, 20, 24)),
    ]
    assert f"none within {TOTAL_SECONDS:g} s ({CONNECT_SECONDS:g} s to connect)" in PAGE
    assert f"deleted after {SENT_DAYS} days" in PAGE
    assert f"all others after {KEPT_DAYS}." in PAGE
    assert PLACES == 4
    assert "four places of its own" in PAGE
