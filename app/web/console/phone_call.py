"""One call from the softphone's page, from the accepted socket to its close.

Loaded with the first call: the carrier stand-in brings in an HTTP client, which takes a third of a second.
"""

import asyncio
from datetime import date

import msgspec
import structlog
from starlette.websockets import WebSocket

from app.calls.switchboard import Switchboard
from app.core.record import Spoken
from app.sim import softphone_orders as orders
from app.sim.carrier import ACCOUNT_SID
from app.sim.script import load, shipped
from app.sim.softphone import Softphone
from app.sim.softphone_server import Server
from app.web.console.browser_link import BrowserLink
from app.web.console.phone_tickets import Wish
from app.web.console.talk_news import TalkNews

log = structlog.get_logger()

SILENT_SECONDS = 20.0
"""A page sends its microphone's frames, or a sign of life every five seconds; one that sends nothing for so long is gone."""


async def run(socket: WebSocket, wish: Wish, server: Server, today: date, board: Switchboard) -> None:
    """Make the call that was wished for, and stay until both the call and the browser are done with it."""
    if not server.account_sid:
        server = msgspec.structs.replace(server, account_sid=ACCOUNT_SID)
    link = BrowserLink(socket)
    phone = await asyncio.to_thread(Softphone, server, link)
    script = load(shipped()[wish.script]) if wish.script else None
    writer = asyncio.create_task(link.write(), name="softphone writer")
    reader = asyncio.create_task(_read(socket, phone, link), name="softphone reader")
    ends = [asyncio.create_task(phone.ended.wait()), asyncio.create_task(link.gave_up.wait())]
    call_sid = ""
    try:
        await phone.dial(caller=wish.caller, dialled=wish.dialled, mode=wish.mode, script=script, today=today)
        call_sid = phone.call_sid
        board.watchers[call_sid] = TalkNews(link, lambda item: _spoken(board, call_sid, item))
        await asyncio.wait({reader, writer, *ends}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        board.watchers.pop(call_sid, None)
        await phone.close()  # the caller hangs up, if nobody else did
        for task in (reader, *ends):
            task.cancel()
        await asyncio.gather(reader, *ends, return_exceptions=True)
        link.tell("browser", dropped=link.dropped)
        slow = link.gave_up.is_set()
        await link.finish(writer, 1008 if slow else 1000, "reads too slowly" if slow else "the call is over")


def _spoken(board: Switchboard, call_sid: str, item: str) -> Spoken | None:
    call = board.calls.get(call_sid)
    return call.record.find(item) if call is not None else None


async def _read(socket: WebSocket, phone: Softphone, link: BrowserLink) -> None:
    """Hand on the microphone and what the person does, until the browser is gone."""
    while True:
        try:
            async with asyncio.timeout(
                SILENT_SECONDS
            ):  # wait_for of 3.11 may pass over a cancellation, where frames come all the time
                message = await socket.receive()
        except TimeoutError:
            log.info("a softphone's browser says nothing any more", seconds=SILENT_SECONDS)
            return
        if message["type"] == "websocket.disconnect":
            return
        try:
            if (text := message.get("text")) is not None:
                phone.obey(orders.read(text))
            else:
                phone.hear(message.get("bytes") or b"")
        except (ValueError, msgspec.DecodeError) as wrong:
            link.tell("refused", why=str(wrong))
