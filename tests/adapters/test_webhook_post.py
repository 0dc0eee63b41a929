"""Whatever an endpoint does, it costs its retry and no more: every way in which it may behave, over real sockets."""

import asyncio
import datetime
import ssl
import subprocess
from pathlib import Path

import pytest
from standardwebhooks import WebhookVerificationError

from app.adapters.webhook_post import post
from app.rules.webhooks import Webhook
from tests.adapters.endpoints import SECRET, Manner, drips, endpoint, floods, hangs, says, taken

OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDC2FVsBQIhrsc"
BODY = '{"type":"call.finished","words":"Grüße"}'
SHORT = 0.4


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted", "204 No Content"])
async def test_every_2xx_is_taken(status: str) -> None:
    async with endpoint(says(status)) as it:
        answer = await post(it.webhook(), "msg_1", BODY)
    assert (answer.verdict, answer.status, answer.why) == ("taken", int(status[:3]), "")


async def test_the_library_s_own_check_takes_the_signature_and_nothing_that_was_changed() -> None:
    async with endpoint() as it:
        await post(it.webhook(), "msg_1", BODY)
    (received,) = it.received
    assert received.verified() == {"type": "call.finished", "words": "Grüße"}
    assert (received.id, received.headers["content-type"]) == ("msg_1", "application/json")
    with pytest.raises(WebhookVerificationError):
        received._replace(body=BODY.replace("ü", "u").encode()).verified()
    with pytest.raises(WebhookVerificationError):
        received._replace(headers={**received.headers, "webhook-id": "msg_2"}).verified()
    with pytest.raises(WebhookVerificationError):
        received.verified(OTHER)


async def test_while_a_secret_is_changed_both_the_old_and_the_new_one_sign() -> None:
    async with endpoint() as it:
        await post(it.webhook(secrets=(OTHER, SECRET)), "msg_1", BODY)
    (received,) = it.received
    assert received.verified(SECRET) == received.verified(OTHER)


@pytest.mark.parametrize(
    ("manner", "why"),
    [
        (says("500 Internal Server Error", b"out of\x1b[31m  disk\n"), "500: out of [31m disk"),
        (says("404 Not Found"), "404"),
        (
            says("301 Moved", b"", "Location: http://127.0.0.1:9/"),
            "301: redirects are not followed; set the URL that it",
        ),
        (
            says("307 Elsewhere", b"", "Location: http://169.254.169.254/"),
            "307: redirects are not followed; set the URL",
        ),
        (hangs, "no answer within 0.4 s"),
        (drips, "no answer within 0.4 s"),
    ],
    ids=["error", "missing", "redirect", "redirect inside", "hangs", "drips"],
)
async def test_what_is_not_taken_is_said_in_a_line(manner: Manner, why: str) -> None:
    async with endpoint(manner) as it:
        answer = await post(it.webhook(), "msg_1", BODY, seconds=SHORT)
        assert answer.verdict == "failed"
        assert answer.why.startswith(why)
        assert it.connections == 1


async def test_410_means_that_it_wants_no_more() -> None:
    async with endpoint(says("410 Gone")) as it:
        assert (await post(it.webhook(), "msg_1", BODY)).verdict == "gone"


@pytest.mark.parametrize(("status", "verdict"), [("200 OK", "taken"), ("503 Busy", "failed")])
async def test_an_answer_of_200_megabytes_is_not_read(status: str, verdict: str) -> None:
    manner, took = floods(status, 200)
    async with endpoint(manner) as it:
        answer = await post(it.webhook(), "msg_1", BODY)
        async with asyncio.timeout(5):
            while not took:  # noqa: ASYNC110  the other task's end has no event
                await asyncio.sleep(0.01)
    assert answer.verdict == verdict
    assert took[0] < 20 << 20, "what the sockets' buffers hold, of 200 MB"


async def test_an_endpoint_that_lies_about_its_length_is_believed_its_status() -> None:
    async def lies(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nshort")

    async def lies_and_fails(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 Broken\r\nContent-Length: 5000\r\n\r\nshort")

    async def contradicts(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nshort")

    async with endpoint(lies, lies_and_fails, contradicts) as it:
        assert (await post(it.webhook(), "msg_1", BODY)).verdict == "taken"
        assert (await post(it.webhook(), "msg_1", BODY)).why.startswith("500")
        assert (await post(it.webhook(), "msg_1", BODY)).why.startswith("RemoteProtocolError")


async def test_what_is_no_http_at_all_is_a_failure() -> None:
    async def babbles(writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x15\x03\x01\x00\x02\x02\x16 hello")

    async def shouts(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * (1 << 20))
        await writer.drain()

    async def leaves(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with endpoint(babbles, shouts, leaves) as it:
        for _ in range(3):
            answer = await post(it.webhook(), "msg_1", BODY)
            assert (answer.verdict, answer.status) == ("failed", 0)
            assert "Error" in answer.why


async def test_a_certificate_of_nobody_s_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
    ]
    names = [
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    await asyncio.to_thread(subprocess.run, [*made, *names], check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with endpoint(tls=tls) as it:
        answer = await post(it.webhook(), "msg_1", BODY)
        assert answer.verdict == "failed"
        assert "certificate" in answer.why.lower()
        assert it.received == []


async def test_a_name_of_nothing_and_a_port_of_nobody_are_failures() -> None:
    for url in ("https://nothing.invalid/hooks", "http://127.0.0.1:1/hooks"):
        answer = await post(Webhook(name="crm", url=url, secrets=(SECRET,)), "msg_1", BODY, seconds=5)
        assert (answer.verdict, answer.status) == ("failed", 0)
        assert answer.why.startswith("ConnectError")


async def test_a_cookie_that_an_endpoint_sets_is_not_brought_back() -> None:
    async with endpoint(says("200 OK", b"", "Set-Cookie: who=you"), taken) as it:
        await post(it.webhook(), "msg_1", BODY)
        await post(it.webhook(), "msg_2", BODY)
        assert "cookie" not in it.received[1].headers


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with endpoint() as proxy, endpoint() as it:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        assert (await post(it.webhook(), "msg_1", BODY)).verdict == "taken"
        assert proxy.connections == 0


async def test_the_timestamp_is_the_attempt_s() -> None:
    async with endpoint() as it:
        await post(it.webhook(), "msg_1", BODY)
    sent = datetime.datetime.fromtimestamp(int(it.received[0].headers["webhook-timestamp"]), datetime.UTC)
    assert abs((datetime.datetime.now(datetime.UTC) - sent).total_seconds()) < 60
