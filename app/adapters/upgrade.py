"""The server's side of a WebSocket's opening handshake, by the core of `websockets`: no extension, no subprotocol.

A peer that offers some is answered without them, which RFC 6455 (sections 9.1 and 4.2.2) lets a server do at will.
"""

from collections.abc import Mapping

import msgspec
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol


class Upgrade(msgspec.Struct, frozen=True):
    """A request for an upgrade. `answer` is what the protocol wants answered: 101, or the refusal of a wrong handshake."""

    core: ServerProtocol
    path: str
    """As requested, with its query."""
    signature: str
    """X-Twilio-Signature, the first if there are more."""
    answer: Response

    @property
    def good(self) -> bool:
        """Whether it is a handshake that may be accepted."""
        return self.answer.status_code == 101

    def accept(self) -> ServerProtocol:
        """The core of an open connection, with its 101 to send."""
        self.core.send_response(self.answer)
        return self.core

    def refuse(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> bytes:
        """The answer of a house that does not want this upgrade, whatever the protocol says."""
        answer = self.core.reject(status, text)
        for name, value in (headers or {}).items():
            answer.headers[name] = value
        return answer.serialize()


def read_upgrade(head: bytes, *, max_size: int) -> Upgrade:
    """Read a request's head, with its empty line. max_size: bytes of the longest message that will be taken."""
    core = ServerProtocol(max_size=max_size)
    core.receive_data(head)
    request = next((event for event in core.events_received() if isinstance(event, Request)), None)
    if request is None:
        core = ServerProtocol(max_size=max_size)
        return Upgrade(core, "", "", core.reject(400, "expected the head of an HTTP/1.1 request for a WebSocket\n"))
    if len(request.headers.get_all("Host")) != 1:
        return Upgrade(core, "", "", core.reject(400, "expected one Host header (RFC 9112, section 3.2)\n"))
    signature = next(iter(request.headers.get_all("X-Twilio-Signature")), "")
    return Upgrade(core, request.path, signature, core.accept(request))
