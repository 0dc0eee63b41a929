"""Every test vector of the carrier's signature, through the doors that it is meant for."""

from urllib.parse import urlsplit

import pytest

from app.web.guard import Form
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
)

STREAM = "MZ00000000000000000000000000000001"

Q5: Pairs = [*Q, ("CallerName", ""), ("FromCity", "SÃO PAULO"), ("SpeechResult", "yes & no +1 <ok>")]
PUBLISHED: Pairs = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+12349013030"),
    ("Digits", "1234"),
    ("From", "+12349013030"),
    ("To", "+18005551212"),
]
REPEATED: Pairs = [
    ("A", "1"),
    ("StatusCallbackEvent", "ringing"),
    ("StatusCallbackEvent", "answered"),
    ("StatusCallbackEvent", "answered"),
]
UNSORTED: Pairs = [("b", "1"), ("B", "2"), ("a", "3"), ("A", "4"), ("_x", "5")]
STATUS: Pairs = [
    ("AccountSid", ACCOUNT),
    ("ApiVersion", "2010-04-01"),
    ("CallDuration", "42"),
    ("CallSid", CALL),
    ("CallStatus", "completed"),
    ("CallbackSource", "call-progress-events"),
    ("Direction", "inbound"),
    ("Duration", "1"),
    ("From", "+14155550100"),
    ("SequenceNumber", "0"),
    ("Timestamp", "Sat, 21 Nov 2026 07:30:00 +0000"),
    ("To", "+14155550199"),
]
STREAM_STATUS: Pairs = [
    ("AccountSid", ACCOUNT),
    ("CallSid", CALL),
    ("StreamSid", STREAM),
    ("StreamName", STREAM),
    ("StreamEvent", "stream-started"),
    ("Timestamp", "2026-11-21T07:30:00.000Z"),
]

SIGNED_2 = "beQm36WLQ3LtGLKl8dqdPAfHdn0="
SIGNED_3 = "dxzJYoUg2Rz3WJvlDayfiUDges4="
SIGNED_6 = "JciMyB+ZAO77W9pFJQyhg1uyyQQ="
SIGNED_7 = "/+p+dsaYClsmnmTeIlaP/ffApNk="
SIGNED_8 = "r9yMv+CcI5zq0Sdoi4anxy4UtpQ="
SIGNED_9 = "7xKEAP654pLx1875TIIm5RhhYAQ="
SIGNED_10 = "4Dpapqve1KWJ+vn4W4L2CxmIXfg="
SIGNED_11 = "40d+yoPLhkMgexhwtyO1ybUPXTY="
SIGNED_14 = "vebNC8Nmoc/ODWpDFb5qcq+4LQLrJufW177+4/KsNMs="
GET_10 = f"/twilio/voice?CallSid={CALL}&From=%2B14155550100&To=%2B14155550199"
HOOK_11 = "/hook?bodySHA256=93a23971a914e5eacbf0a8d25154cda309c3c1c72fbb9914d47c60f3cb681588"

FORMS = [
    pytest.param(TOKEN_A, "https://mycompany.com/myapp.php?foo=1&bar=2", PUBLISHED, "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", id="1"),
    pytest.param(TOKEN_B, HOST + "/twilio/voice", Q, SIGNED_2, id="2"),
    pytest.param(TOKEN_B, HOST + ":443/twilio/voice", Q, SIGNED_3, id="3"),
    pytest.param(TOKEN_B, HOST + "/twilio/voice", Q, SIGNED_3, id="3-without-the-port"),
    pytest.param(TOKEN_B, HOST + ":8443/twilio/voice", Q, "Ol8R3JFLFDooGyZ3KhHg2HAv5Fk=", id="4"),
    pytest.param(TOKEN_B, HOST + "/twilio/voice?tenant=acme&x=1", Q5, "0y8vplZKgm5k9uAv0hF6joUUloI=", id="5"),
    pytest.param(TOKEN_B, HOST + "/multi", REPEATED, "9ecKy4TCPmO54S+FW2dpcYlLJfw=", id="12"),
    pytest.param(TOKEN_B, HOST + "/s", UNSORTED, "/FFnG6brBHoo1GjrVnkxA843G50=", id="13"),
    pytest.param(TOKEN_B, HOST + "/twilio/status", STATUS, "y3xut16hta1ilPLVcAUNbzBrkLY=", id="15"),
    pytest.param(TOKEN_B, HOST + "/twilio/stream-status", STREAM_STATUS, "QFHZ5j2T+oZul3la9yLrkzyNDA4=", id="16"),
]  # fmt: skip


def split(url: str) -> tuple[str, str]:
    """A URL as its origin and the rest."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    return origin, url.removeprefix(origin)


# --- the vectors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("token", "url", "pairs", "signature"), FORMS)
async def test_a_form_that_the_carrier_signed_is_let_in_with_all_its_fields(
    token: str, url: str, pairs: Pairs, signature: str
) -> None:
    origin, target = split(url)
    form = await guard(token, public_url=origin).form(form_post(target, pairs, signature))
    assert form.multi_items() == pairs


@pytest.mark.parametrize(("token", "url", "pairs", "signature"), FORMS)
async def test_a_signature_fits_neither_another_token_nor_a_changed_field_nor_another_path(
    token: str, url: str, pairs: Pairs, signature: str
) -> None:
    origin, target = split(url)
    ours = guard(token, public_url=origin)
    assert await refusal(guard("another", public_url=origin), form_post(target, pairs, signature)) == 403
    assert await refusal(ours, form_post(target, [*pairs, ("Extra", "1")], signature)) == 403
    assert await refusal(ours, form_post(target, pairs[1:], signature)) == 403
    assert await refusal(ours, form_post("/elsewhere" + target, pairs, signature)) == 403


@pytest.mark.parametrize(("token", "url", "pairs", "signature"), FORMS)
def test_every_form_vector_is_signed_as_the_table_says(token: str, url: str, pairs: Pairs, signature: str) -> None:
    assert guard(token).signed(url, Form(pairs), signature)
    assert not guard(token).signed(url, Form(pairs), signature[:-2] + "A=")


async def test_vector_10_a_get_is_signed_by_its_url_alone() -> None:
    form = await guard().form(request(GET_10, "GET", {"x-twilio-signature": SIGNED_10}))
    assert form.multi_items() == [("CallSid", CALL), ("From", "+14155550100"), ("To", "+14155550199")]
    assert await refusal(guard(), request(GET_10 + "9", "GET", {"x-twilio-signature": SIGNED_10})) == 403
    assert await refusal(guard(), request(GET_10, "POST", {"x-twilio-signature": SIGNED_10})) == 403


async def test_vector_11_a_json_body_is_signed_by_its_hash_but_no_form() -> None:
    assert guard().signed(HOST + HOOK_11, '{"hello":"world"}', SIGNED_11)
    assert not guard().signed(HOST + HOOK_11, '{"hello":"w0rld"}', SIGNED_11)
    assert not guard().signed(HOST + "/hook", '{"hello":"world"}', SIGNED_11)
    wire = Wire([b'{"hello":"world"}'])
    headers = {"content-type": "application/json", "x-twilio-signature": SIGNED_11}
    assert await refusal(guard(), request(HOOK_11, headers=headers, wire=wire)) == 403
    assert wire.taken == 0


async def test_vector_14_the_header_names_the_algorithm() -> None:
    settings = {"x-twilio-webhooks-signature-settings": "key=webhooks_sharedkey_1, algorithm=HMAC_SHA256"}
    form = await guard().form(form_post("/twilio/voice", Q, SIGNED_14, **settings))
    assert form["CallSid"] == CALL
    assert await refusal(guard(), form_post("/twilio/voice", Q, SIGNED_14)) == 403
    assert await refusal(guard(), form_post("/twilio/voice", Q, SIGNED_2, **settings)) == 403


@pytest.mark.parametrize("algorithm", ["none", "HMAC_MD5", "=", "a=b=c", "HMAC_SHA1\x00"])
async def test_an_algorithm_that_nobody_knows_proves_nothing(algorithm: str) -> None:
    settings = {"x-twilio-webhooks-signature-settings": f"key=k,algorithm={algorithm}"}
    assert await refusal(guard(), form_post("/twilio/voice", Q, SIGNED_2, **settings)) == 403


@pytest.mark.parametrize("signature", [SIGNED_6, SIGNED_7, SIGNED_8], ids=["6", "7-slash", "8-port"])
@pytest.mark.parametrize("path", ["/media", "/media/"])
def test_an_upgrade_is_let_in_by_every_spelling_that_the_carrier_signs(signature: str, path: str) -> None:
    assert guard().upgrade(path, signature)
    assert not guard("another").upgrade(path, signature)
    assert not guard().upgrade("/medium", signature)
    assert not guard().upgrade("/media/x", signature)


def test_vector_9_a_socket_signed_over_https_is_refused() -> None:
    assert guard().signed(HOST + "/media", None, SIGNED_9), "the vector itself is sound"
    assert not guard().upgrade("/media", SIGNED_9)
    assert not guard().upgrade("/media/", SIGNED_9)


def test_vector_8_needs_the_port_that_the_library_does_not_add() -> None:
    assert not guard().signed("wss://agent.example.com/media", None, SIGNED_8)
    assert guard().upgrade("/media", SIGNED_8)
    assert guard(public_url=HOST + ":443").upgrade("/media", SIGNED_8)
    assert not guard(public_url=HOST + ":8443").upgrade("/media", SIGNED_8)
