"""The edge and the region that are set reach every REST call, with the token that is meant for them."""

import base64
import inspect
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.adapters.dialling import Dialling
from app.adapters.twilio_rest import TwilioRest
from app.errors import SetupError
from app.settings import ROOT, load

ACCOUNT = "AC" + "1" * 32
HERE = {
    "TWILIO_ACCOUNT_SID": ACCOUNT,
    "TWILIO_AUTH_TOKEN": "of-ie1,of-us1",
    "TWILIO_EDGE": "dublin",
    "TWILIO_REGION": "ie1",
}


async def _everything(rest: TwilioRest) -> None:
    """Each request that we make."""
    await rest.redirect("CA1", "https://agent.example/twilio/next")
    await rest.send_text(to="+14155550133", sender="+14155550199", body="Hello")
    await rest.standing("CA1")
    await rest.place(
        Dialling(
            to="+14155550133",
            sender="+14155550199",
            answered_url="https://agent.example/twilio/answered",
            progress_url="https://agent.example/twilio/progress",
            verdict_url="https://agent.example/twilio/amd",
            ring_seconds=20,
        )
    )


async def test_every_request_goes_to_the_host_of_edge_and_region_with_its_token(tmp_path: Path) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, json={"sid": "CA1", "status": "queued"})

    settings = load(HERE, root=tmp_path)
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await _everything(TwilioRest(settings.twilio_api_base, ACCOUNT, settings.twilio_auth_tokens[0], client))
    assert {str(request.url.copy_with(path="/")) for request in seen} == {"https://api.dublin.ie1.twilio.com/"}
    assert {base64.b64decode(request.headers["authorization"][6:]) for request in seen} == {
        f"{ACCOUNT}:of-ie1".encode()
    }
    asks: list[Any] = [
        name for name, _ in inspect.getmembers(TwilioRest, inspect.iscoroutinefunction) if name[0] != "_"
    ]
    assert len(seen) == len(asks), f"a test for each of {asks}"


def test_nothing_of_ours_names_twilio_s_host_but_the_settings() -> None:
    hosts = re.compile(r"https://(?!www\.|status\.)[\w.{}' -]*\.twilio\.com")
    files = [path for path in (ROOT / "app").rglob("*.py") if "sim" not in path.parts]
    naming = {str(path.relative_to(ROOT)) for path in files if hosts.search(path.read_text(encoding="utf-8"))}
    assert naming == {"app/settings.py"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("TWILIO_EDGE", "dublin.evil.example/"), ("TWILIO_REGION", "ie1 au1"), ("TWILIO_EDGE", "Dublin")],
)
def test_what_is_no_edge_or_region_is_refused(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SetupError, match=f"{name}: expected one word of a host's name"):
        load({**HERE, name: value}, root=tmp_path)
