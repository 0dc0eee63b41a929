"""What can befall the carrier's end: every entry of its chaos list, and a few that the field has seen."""

import asyncio
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app.chaos.fault import of
from app.chaos.of_books import comes_back, gone
from app.chaos.scene import ACCOUNT, PUBLIC, TOKEN, Scene
from app.chaos.talks import GREETING, HOURS, OPEN
from app.sim.carrier_http import SignedHttp
from app.sim.carrier_origin import Origin
from app.sim.carrier_quirks import Quirks

HELD_SECONDS = 2.0


async def slow_reader(scene: Scene) -> None:
    """The carrier takes nothing for two seconds of an answer, then all of it."""
    await scene.caller.begins(OPEN)
    scene.front.down.clear()
    await asyncio.sleep(HELD_SECONDS)
    scene.front.down.set()


async def late_frames(scene: Scene) -> None:
    """The caller's frames come in bursts of 500 ms, through the whole first question."""
    await scene.caller.begins(GREETING)
    while not scene.call.streams[-1].playout.underruns and not scene.caller.begun(OPEN):
        scene.front.up.clear()
        await asyncio.sleep(0.5)
        scene.front.up.set()
        await asyncio.sleep(0.02)


async def cut_mid_mark(scene: Scene) -> None:
    """The connection is torn while a mark waits behind the agent's words."""
    await scene.caller.until(lambda: HOURS in scene.caller.said and scene.caller.begun(OPEN), "an answer")
    stream = scene.call.streams[-1]
    await scene.caller.until(lambda: bool(stream.playout.waiting_marks), "a mark that waits")
    stream.cut()


async def second_socket(scene: Scene) -> None:
    """Somebody else opens the call's own stream URL, signed, and the door for plain streams with its CallSid."""
    await scene.caller.begins(GREETING)
    url = scene.call.streams[0].opening.url
    if await _opens(scene, url):
        scene.notes.append("a used ticket opened a second socket")
    bare = f"{PUBLIC.replace('https', 'wss')}/voice/ws/receptionist"
    signed = SignedHttp(Origin(PUBLIC), TOKEN)
    try:
        async with connect(_real(scene, bare), additional_headers=signed.signature(bare, {}), proxy=None) as socket:
            start = f'{{"accountSid":"{ACCOUNT}","callSid":"{scene.call.call_sid}","streamSid":"MZ{"d" * 32}","tracks":["inbound"],'
            start += '"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{}}'
            await socket.send(f'{{"event":"start","sequenceNumber":"1","streamSid":"MZ{"d" * 32}","start":{start}}}')
            await socket.wait_closed()
            if socket.close_code != 1008:
                scene.notes.append(f"a second stream of the call was closed with {socket.close_code}, not 1008")
    except InvalidStatus as refused:
        scene.notes.append(f"the door for plain streams answered {refused.response.status_code}")
    finally:
        await signed.close()


async def replayed(scene: Scene) -> None:
    """Once the call is over, its first webhook and its stream's upgrade come again, with the signatures that were good then."""
    await scene.call.finished()
    (first, *_) = scene.call.log.of("webhook")
    before = len(scene.model.sessions)
    signed = SignedHttp(Origin(PUBLIC), TOKEN)
    fields = first.detail["fields"]
    headers = signed.signature(first.detail["url"], fields)
    await signed.close()
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{scene.server.url}/twilio/incoming", data=fields, headers=headers)
    if "<Stream" in answer.text:
        scene.notes.append("a replayed webhook got a stream")
    if await _opens(scene, scene.call.streams[0].opening.url):
        scene.notes.append("a replayed upgrade was accepted")
    if len(scene.model.sessions) != before:
        scene.notes.append("a replayed webhook opened a session")


async def late_words(scene: Scene) -> None:
    """Status callbacks come twice, and old ones after the last: `ringing` once the call is over."""
    await scene.call.finished()
    signed = SignedHttp(Origin(PUBLIC, scene.server.url), TOKEN)
    fields = dict(scene.call.log.of("webhook")[0].detail["fields"])
    for status in ("completed", "in-progress", "ringing", "completed"):
        await signed.request(f"{PUBLIC}/twilio/status", "POST", {**fields, "CallStatus": status})
    answer = await signed.request(f"{PUBLIC}/twilio/next", "POST", {**fields, "CallStatus": "in-progress"})
    await signed.close()
    if b"<Stream" in answer.body or b"<Dial" in answer.body:
        scene.notes.append("a late word revived a call that was over")


async def _opens(scene: Scene, url: str) -> bool:
    signed = SignedHttp(Origin(PUBLIC), TOKEN)
    try:
        async with connect(_real(scene, url), additional_headers=signed.signature(url, {}), proxy=None):
            return True
    except InvalidStatus:
        return False
    finally:
        await signed.close()


def _real(scene: Scene, url: str) -> str:
    """Where a public URL really is."""
    return scene.server.url.replace("http", "ws", 1) + url.removeprefix(PUBLIC.replace("https", "wss"))


_SILENT: dict[str, Any] = {"limit_ms": 4000, "why_longer": "the carrier itself is silent for so long"}
_REFUSED: dict[str, Any] = {"heard": "refused", "codes": frozenset({11200})}

CARRIER = (
    of("carrier", "slow-reader", "takes nothing for 2 s of an answer", act=slow_reader, **_SILENT),
    of(
        "carrier",
        "late-start",
        "`start` comes 2 s after the upgrade",
        quirks=Quirks(start_delay_seconds=2.0),
        **_SILENT,
    ),
    of("carrier", "webhook-twice", "the first webhook is delivered twice", quirks=Quirks(repeated_webhook=True)),
    of(
        "carrier",
        "wrong-signature",
        "the webhook's signature is wrong",
        quirks=Quirks(webhook_signature="wrong"),
        **_REFUSED,
    ),
    of(
        "carrier",
        "no-signature",
        "the webhook has no signature",
        quirks=Quirks(webhook_signature="missing"),
        **_REFUSED,
    ),
    of(
        "carrier",
        "wrong-upgrade-signature",
        "the signature of every stream's upgrade is wrong",
        quirks=Quirks(upgrade_signature="wrong"),
        heard="person",
        codes=frozenset({31920}),
    ),
    of(
        "carrier",
        "nothing-but-keys",
        "every stream's upgrade is refused, and model and database are gone, in a mode with a keypad menu",
        quirks=Quirks(upgrade_signature="wrong"),
        gone=True,
        own_postgres=True,
        before=gone,
        act=comes_back,
        mode="ivr",
        heard="menu",
        codes=frozenset({31920}),
    ),
    of(
        "carrier",
        "replayed",
        "webhook and upgrade come again after the call, with signatures that were good",
        act=replayed,
    ),
    of(
        "carrier",
        "wrong-call-sid",
        "`start` names another call, on every stream",
        quirks=Quirks(start_call_sid="CA" + "e" * 32),
        heard="person",
        codes=frozenset({31921}),
    ),
    of(
        "carrier",
        "wrong-account",
        "`start` names another account, on every stream",
        quirks=Quirks(start_account_sid="AC" + "e" * 32),
        heard="person",
        codes=frozenset({31921}),
    ),
    of("carrier", "no-parameters", "`start` has no customParameters", quirks=Quirks(start_parameters={})),
    of(
        "carrier",
        "big-parameters",
        "`start` has 60 kB of customParameters",
        quirks=Quirks(start_parameters={"caller": "9" * 30_000, "x" * 30_000: "y"}),
    ),
    of("carrier", "late-frames", "the caller's frames come in bursts of 500 ms", act=late_frames),
    of("carrier", "missing-frames", "frames of 1.5 s never arrive", quirks=Quirks(lost_ms=(1000, 2500))),
    of("carrier", "no-pong", "no ping of ours is answered, for 45 s", quirks=Quirks(no_pong=True), thinks_seconds=40.0),
    of(
        "carrier",
        "cut-mid-mark",
        "the connection is torn while a mark waits",
        act=cut_mid_mark,
        heard="resumed",
        codes=frozenset({31903}),
        quick=True,
    ),
    of(
        "carrier",
        "second-socket",
        "a second socket asks for the same call, by its ticket and by its CallSid",
        act=second_socket,
        quick=True,
    ),
    of("carrier", "late-words", "status callbacks come twice, and old ones after the last", act=late_words),
)
"""In the order of the carrier's list."""
