"""A look at the core of `websockets` before anything rests on it: does it still do what the links' fast path takes for granted?

The fast path hands frames past the core, so it needs a core that keeps nothing of what it was fed once that is whole frames,
and that misses nothing it was not fed. A release that changes this costs speed, not calls: all frames go through the core then.
"""

from collections.abc import Iterator

import structlog
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, State
from websockets.uri import WebSocketURI

from app.adapters.core_end import core_once_open
from app.adapters.frames import FIN_TEXT, LENGTH_16, MASKED, apply_mask, client_frame, extent, server_frame
from app.adapters.link import WireLink
from app.adapters.upgrade import read_upgrade

log = structlog.get_logger()

TEXTS = (b"", b"x" * (LENGTH_16 - 1), b"x" * LENGTH_16, b'{"event":"media"}' * 300)


def check_core() -> bool:
    """Switch the fast path off, loudly, if the core is not as it expects. Takes some milliseconds; True if all is well."""
    why = mismatch()
    WireLink.fast = not why
    if why:
        log.error("the links' fast path is off: calls cost more", why=why, remedy="install the pinned websockets")
    return not why


def mismatch() -> str:
    """The first thing that the core does otherwise; empty if there is none."""
    try:
        return next((what for what, so in _expectations() if not so), "")
    except Exception as wrong:  # a name is gone, or a call is refused: that core is another
        return f"{type(wrong).__name__}: {wrong}"


def _expectations() -> Iterator[tuple[str, bool]]:
    """What must be so, in an order that each builds on."""
    client = ClientProtocol(WebSocketURI(False, "localhost", 80, "/", ""))
    client.send_request(client.connect())
    upgrade = read_upgrade(b"".join(client.data_to_send()), max_size=1 << 20)
    yield "a server's core accepts a client's handshake", upgrade.good
    server = upgrade.accept()
    client.receive_data(b"".join(server.data_to_send()))
    client.events_received()
    yield "a handshake opens both ends, without extensions", _open(client) and _open(server)
    yield from _of_open_ends(core_once_open(client), core_once_open(server))


def _of_open_ends(client: Protocol, server: Protocol) -> Iterator[tuple[str, bool]]:
    yield "a core goes on where another led the handshake", _open(client) and _open(server)
    for text in TEXTS:
        server.send_text(text)
        yield "a server's text frame is framed as by hand", server.data_to_send() == [server_frame(text)]
        client.send_text(text)
        (frame,) = client.data_to_send()
        short = len(text) < LENGTH_16
        second, at = MASKED | (len(text) if short else LENGTH_16), 2 if short else 4
        yield "a client's text frame has the fast shape", frame[:2] == bytes((FIN_TEXT, second))
        yield "its payload is masked by four octets before it", apply_mask(frame[at + 4 :], frame[at : at + 4]) == text
        yield "its end is where the header says", extent(frame, 0, masked=True, limit=None) == len(frame)
        yield "a masked frame by hand is read", _reads(server, client_frame(text), text)
        yield "an unmasked frame by hand is read", _reads(client, server_frame(text), text)
    server.receive_data(b"\x01\x80\0\0\0\0")
    yield "an open message is known", server.current_size == 0 and _keeps_nothing(server)
    server.receive_data(b"\x80\x80\0\0\0\0")
    server.events_received()
    yield "a joined message is forgotten", _open(server)
    server.receive_data(b"\x89\x81\0\0\0\0!")
    yield "a ping is answered", server.data_to_send() == [b"\x8a\x01!"]
    server.events_received()
    server.send_close(1000)
    client.receive_data(b"".join(server.data_to_send()))
    server.receive_data(b"".join(client.data_to_send()))
    yield (
        "a close is answered, whatever went past the core",
        (client.state, server.state) == (State.CLOSING, State.CLOSING),
    )
    yield "and is known to both", client.close_rcvd is not None and server.close_rcvd is not None


def _keeps_nothing(core: Protocol) -> bool:
    return len(core.reader.buffer) == 0


def _open(core: Protocol) -> bool:
    """Whether a core is open and between messages."""
    return (
        core.state is State.OPEN and core.current_size is None and _keeps_nothing(core) and list(core.extensions) == []
    )


def _reads(core: Protocol, frame: bytes, text: bytes) -> bool:
    """Whether a frame is one event, says what it says, and leaves the core as it was."""
    core.receive_data(frame)
    return core.events_received() == [Frame(Opcode.TEXT, text)] and core.data_to_send() == [] and _open(core)
