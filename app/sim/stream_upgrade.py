"""The upgrade of a media stream: a signed WebSocket handshake, and Twilio's code for each way it can fail."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import Frame, Opcode

from app.sim.carrier_http import SignedHttp
from app.sim.carrier_quirks import Quirks
from app.sim.twiml_document import Refused

OPEN_SECONDS = 10.0  # no figure is published
CLOSE_SECONDS = 2.0
MAX_MESSAGE = 16 * 1024 * 1024  # no figure is published; whole multi-second deltas are taken


@dataclass(frozen=True)
class Opening:
    """What a <Stream> asks for. url: the public ws form, over which the upgrade is signed."""

    url: str
    stream_sid: str
    call_sid: str
    account_sid: str
    parameters: Mapping[str, str]
    bidirectional: bool = True


class _Dial(connect):
    """A WebSocket client that follows no redirect: any answer but 101 is a refusal (31920)."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def signed_url(url: str, quirks: Quirks) -> str:
    """The URL that the upgrade's signature is over: the one in the TwiML, or one of its documented variants."""
    if quirks.signed_port and url.startswith("wss://"):
        host, slash, path = url.removeprefix("wss://").partition("/")
        url = f"wss://{host.partition(':')[0]}:443{slash}{path}"
    return url + "/" if quirks.signed_slash else url


def _swallow_pongs(socket: ClientConnection) -> None:
    """As a proxy does that knows no control frames."""
    send = socket.protocol.send_frame

    def but_pongs(frame: Frame) -> None:
        if frame.opcode is not Opcode.PONG:
            send(frame)

    socket.protocol.send_frame = but_pongs  # type: ignore[method-assign]


async def upgrade(opening: Opening, http: SignedHttp, quirks: Quirks) -> ClientConnection:
    """Open the socket.

    Raises Refused 31920 (anything but 101; with the HTTP status), 31901 (no answer in time), 31902 (no connection),
    31923 (malformed URL).
    """
    url = opening.url
    signature = http.signature(signed_url(url, quirks), {}, quirks.upgrade_signature)
    route = http.origin.route(url)
    address: dict[str, Any] = {}
    if route.connect is not None:
        address["host"], address["port"] = route.connect
    try:
        socket = await _Dial(
            route.url,
            compression=None,
            proxy=None,
            additional_headers={name.lower(): value for name, value in signature.items()},
            user_agent_header="Twilio.TmeWs/1.0",
            open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS,
            ping_interval=None,
            max_size=MAX_MESSAGE,
            write_limit=1 << 30,  # a send never waits for a slow reader; MediaStream looks before it sends
            **address,
        )
        if quirks.no_pong:
            _swallow_pongs(socket)
        return socket
    except InvalidStatus as error:
        status = error.response.status_code
        raise Refused(31920, f"{url}: the upgrade was answered {status}, expected 101", status) from error
    except TimeoutError as error:
        raise Refused(31901, f"{url}: no answer within {OPEN_SECONDS:.0f} s") from error
    except InvalidHandshake as error:
        raise Refused(31920, f"{url}: the upgrade failed: {error}") from error
    except InvalidURI as error:
        raise Refused(31923, f"{url}: {error}") from error
    except OSError as error:
        raise Refused(31902, f"{url}: no connection: {error}") from error
