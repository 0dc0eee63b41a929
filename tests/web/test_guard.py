"""The guard at Twilio's doors: what is signed comes in, and nothing else costs more than a look."""

from urllib.parse import quote, urlencode

import pytest
from starlette.datastructures import ImmutableMultiDict
from twilio.request_validator import RequestValidator

from app.web import guard as doors
from app.web.guard import FORM_BYTES, Guard
from tests.house.samples import make_settings
from tests.web.samples import (
    ACCOUNT,
    CALL,
    HOST,
    TOKEN_A,
    TOKEN_B,
    Pairs,
    Q,
    Wire,
    form_post,
    guard,
    refusal,
    request,
    sign,
)

# --- upgrades ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["", "/", ":443", ":443/"])
def test_a_slash_and_the_port_may_come_together(variant: str) -> None:
    slash = "/" if variant.endswith("/") else ""
    signature = sign(f"wss://agent.example.com{variant.rstrip('/')}/voice/ws/csr/t1{slash}")
    assert guard().upgrade("/voice/ws/csr/t1", signature)


@pytest.mark.parametrize("public_url", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"])
def test_a_loopback_origin_signs_its_streams_as_ws(public_url: str) -> None:
    ours = guard(public_url=public_url)
    assert ours.upgrade("/voice/ws/csr/t1", sign(public_url.replace("http", "ws", 1) + "/voice/ws/csr/t1"))
    assert not ours.upgrade("/voice/ws/csr/t1", sign(public_url.replace("http", "wss", 1) + "/voice/ws/csr/t1"))
    assert not ours.upgrade("/voice/ws/csr/t1", sign(public_url + "/voice/ws/csr/t1"))


def test_an_upgrade_keeps_the_percent_encoding_that_was_asked_for() -> None:
    assert guard().upgrade("/voice/ws/a%2Fb", sign("wss://agent.example.com/voice/ws/a%2Fb"))
    assert not guard().upgrade("/voice/ws/a/b", sign("wss://agent.example.com/voice/ws/a%2Fb"))


@pytest.mark.parametrize("signature", ["", " ", "=", "é", "x" * 100_000])
def test_an_upgrade_without_a_real_signature_is_refused(signature: str) -> None:
    assert not guard().upgrade("/media", signature)


# --- webhooks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_missing_signature_is_refused_before_anything_is_read(method: str) -> None:
    wire = Wire([b"CallSid=CA1"])
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert await refusal(guard(), request("/twilio/incoming", method, headers, wire)) == 403
    assert wire.taken == 0


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("signature", ["x", "é", sign(HOST), "A" * 10_000])
async def test_a_wrong_signature_is_refused(method: str, signature: str) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signature}
    assert await refusal(guard(), request("/twilio/incoming", method, headers, Wire([b"CallSid=CA1"]))) == 403


async def test_a_form_without_end_is_read_no_further_than_64_kb() -> None:
    piece = b"a" * 4096
    wire = Wire(iter(lambda: piece, b""))
    headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": "x"}
    assert await refusal(guard(), request("/twilio/incoming", headers=headers, wire=wire)) in (403, 413)
    assert wire.taken <= FORM_BYTES + len(piece)


async def test_a_form_that_announces_too_much_is_not_read_at_all() -> None:
    wire = Wire([b"a=1"])
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "x-twilio-signature": "x",
        "content-length": str(FORM_BYTES + 1),
    }
    assert await refusal(guard(), request("/twilio/incoming", headers=headers, wire=wire)) in (403, 413)
    assert wire.taken == 0


async def test_a_form_of_64_kb_is_still_read() -> None:
    pairs = [("CallSid", CALL), ("SpeechResult", "")]
    pairs[1] = ("SpeechResult", "a" * (FORM_BYTES - len(urlencode(pairs))))
    form = await guard().form(form_post("/x", pairs, sign(HOST + "/x", params=dict(pairs))))
    assert len(form["SpeechResult"]) > 65_000


@pytest.mark.parametrize("length", ["abc", "1e3", "", "-5", "²"])
async def test_a_length_that_is_no_number_does_not_break_the_guard(length: str) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": "x", "content-length": length}
    assert await refusal(guard(), request("/twilio/incoming", headers=headers, wire=Wire([b"a=1"]))) in (400, 403, 413)


async def test_a_form_that_never_ends_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "FORM_SECONDS", 0.01)
    headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": "x"}
    wire = Wire([b"a=1"], stalls=True)
    assert await refusal(guard(), request("/twilio/incoming", headers=headers, wire=wire)) == 408


async def test_a_form_of_too_many_fields_is_refused() -> None:
    pairs = [(f"f{n}", "1") for n in range(501)]
    assert await refusal(guard(), form_post("/x", pairs, sign(HOST + "/x", params=dict(pairs)))) in (403, 413)


async def test_text_that_is_no_utf_8_is_refused_and_breaks_nothing() -> None:
    headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": sign(HOST)}
    assert await refusal(guard(), request("/twilio/voice", headers=headers, wire=Wire([b"\xff\xfe=%ff&\x00"]))) == 403


async def test_blank_values_are_signed_and_kept() -> None:
    pairs = [("CallerName", ""), ("CallSid", CALL)]
    form = await guard().form(form_post("/x", pairs, sign(HOST + "/x", params=dict(pairs))))
    assert form["CallerName"] == ""
    assert await refusal(guard(), form_post("/x", pairs, sign(HOST + "/x", params={"CallSid": CALL}))) == 403


async def test_repeated_names_are_all_kept() -> None:
    repeated: Pairs = [("StatusCallbackEvent", "ringing"), ("A", "1"), *[("StatusCallbackEvent", "answered")] * 2]
    form = await guard().form(form_post("/multi", repeated, "9ecKy4TCPmO54S+FW2dpcYlLJfw="))
    assert form.getlist("StatusCallbackEvent") == ["ringing", "answered", "answered"]


async def test_while_a_token_is_rotated_both_may_sign() -> None:
    ours = guard(TOKEN_A, TOKEN_B)
    for token in (TOKEN_A, TOKEN_B):
        form = await ours.form(form_post("/x", Q, sign(HOST + "/x", token, dict(Q))))
        assert form["CallSid"] == CALL
        assert ours.upgrade("/media", sign("wss://agent.example.com/media", token))
    assert await refusal(ours, form_post("/x", Q, sign(HOST + "/x", "third", dict(Q)))) == 403


async def test_a_guard_without_tokens_lets_nothing_in() -> None:
    closed = Guard(make_settings(public_url=HOST), (), "")
    assert await refusal(closed, form_post("/x", Q, sign(HOST + "/x", "", dict(Q)))) == 403
    assert not closed.upgrade("/media", sign("wss://agent.example.com/media", ""))


async def test_the_request_s_own_word_on_its_host_is_never_believed() -> None:
    evil = {"host": "evil.example.com", "x-forwarded-host": "evil.example.com", "x-forwarded-proto": "https"}
    signature = sign("https://evil.example.com/x", params=dict(Q))
    assert await refusal(guard(), form_post("/x", Q, signature, **evil)) == 403
    form = await guard().form(form_post("/x", Q, sign(HOST + "/x", params=dict(Q)), **evil))
    assert form["CallSid"] == CALL


async def test_the_path_is_signed_as_it_was_asked_for_percent_encoding_and_all() -> None:
    target = "/twilio/" + quote("é b") + "?q=" + quote("ü")
    form = await guard().form(form_post(target, Q, sign(HOST + target, params=dict(Q))))
    assert form["CallSid"] == CALL


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    ("accounts", "status"), [([ACCOUNT], 0), ([], 403), (["AC" + "9" * 32], 403), ([ACCOUNT, "AC" + "9" * 32], 403)]
)
async def test_where_our_account_is_set_only_its_webhooks_are_let_in(
    method: str, accounts: list[str], status: int
) -> None:
    ours = Guard(make_settings(public_url=HOST, twilio_account_sid=ACCOUNT), (TOKEN_B,), "")
    pairs = [("CallSid", CALL), *(("AccountSid", account) for account in accounts)]
    target = "/x" if method == "POST" else "/x?" + urlencode(pairs)
    signed = RequestValidator(TOKEN_B).compute_signature(
        HOST + target, ImmutableMultiDict(pairs if method == "POST" else [])
    )
    asked = (
        form_post(target, pairs, signed) if method == "POST" else request(target, "GET", {"x-twilio-signature": signed})
    )
    if status:
        assert await refusal(ours, asked) == status
    else:
        assert (await ours.form(asked))["CallSid"] == CALL
