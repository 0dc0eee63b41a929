"""E-mail addresses as they are said on the phone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.captures.captured import EmailAddress
from app.errors import ToolError
from tests.captures.scene import reading, value


@pytest.mark.parametrize(
    ("heard", "address"),
    [
        ("john.smith@gmail.com", "john.smith@gmail.com"),
        ("John.Smith@Example.COM", "john.smith@example.com"),
        ("J as in John, O, H, N, dot smith at gmail dot com", "john.smith@gmail.com"),
        ("j o h n at example dot com", "john@example.com"),
        ("J-O-H-N at example dot com", "john@example.com"),
        ("john @ example.com", "john@example.com"),
        ("juliet oscar hotel november at example dot com", "john@example.com"),
        ("john underscore smith ninety nine at yahoo dot co dot uk", "john_smith99@yahoo.co.uk"),
        ("info at bob hyphen shop dot example dot com", "info@bob-shop.example.com"),
        ("bill plus news at example dot com", "bill+news@example.com"),
        ("b double o k at example dot com", "book@example.com"),
        ("agent double oh seven at example dot com", "agent007@example.com"),
        ("one oh one at example dot com", "101@example.com"),
        ("my email is bob at sign example dot com", "bob@example.com"),
        ("all lowercase jo hn at example dot com", "john@example.com"),
        ("matt @ at and t dot com", "matt@atandt.com"),
        ("o'neil at example dot com", "o'neil@example.com"),
        ("bob at müller dot de", "bob@müller.de"),
        ("bob@example.com.", "bob@example.com"),
    ],
)
def test_an_address_is_written_as_it_was_said(heard: str, address: str) -> None:
    assert value(EmailAddress, heard) == address
    assert value(EmailAddress, address) == address


@pytest.mark.parametrize(
    ("heard", "says"),
    [
        ("john at gmail", "period"),
        ("gmail dot com", "one 'at'"),
        ("matt at at and t dot com", "write that one as @"),
        ("a@b@example.com", "one 'at'"),
        ("john..smith@example.com", "periods"),
        ("@example.com", "something before"),
        ("john@localhost", "period"),
        ("john@something.invalid", "special-use"),
        ("jоhn@gmail.com", "Latin"),
        ("jöhn@example.com", "not supported"),
        ("john;drop@example.com", "."),
        ("john$id@example.com", "alone"),
        ("a" * 65 + "@example.com", "too long"),
        ("A as in bee at example dot com", "do not fit"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason(heard: str, says: str) -> None:
    with pytest.raises(ToolError, match=says):
        reading(EmailAddress, heard)


def test_an_address_is_read_back_letter_by_letter_but_for_domains_that_everybody_knows() -> None:
    assert reading(EmailAddress, "john.smith@gmail.com").aloud == "J-O-H-N, dot, S-M-I-T-H, at, gmail dot com"
    assert reading(EmailAddress, "o'neil@bob-shop.com").aloud == (
        "O, apostrophe, N-E-I-L, at, B-O-B, hyphen, S-H-O-P, dot com"
    )


@given(st.from_regex(r"[a-z]{1,8}[0-9]{0,3}", fullmatch=True), st.from_regex(r"[a-z]{2,10}", fullmatch=True))
def test_every_plain_address_can_be_spelled(local: str, host: str) -> None:
    heard = f"{' '.join(local)} at {' '.join(host)} dot com"
    assert value(EmailAddress, heard) == f"{local}@{host}.com"
