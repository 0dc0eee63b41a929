"""Fly's proxy, where there is one: a request that another machine of ours should answer is sent there by a header.

Source: Fly, "Dynamic request routing": an answer with `fly-replay` is not given to the client; the request goes to the machine that
is named, and tells by `fly-replay-src` where from, or comes back with `fly-replay-failed`. WebSocket upgrades as well, under the
same URL, so that the carrier's signature still holds.
"""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse

MISDIRECTED = 421
"""What the answer would be to somebody who is not Fly's proxy. Source: RFC 9110, 15.5.20."""
SECONDS = "2s"
"""How long the proxy tries to reach that machine before the request comes back."""


class Elsewhere(Exception):
    """A request that another process is to answer."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__()
        self.response = PlainTextResponse("another machine answers this\n", MISDIRECTED, headers=headers)


class Fly:
    """What can be asked of the proxy. Nothing where this machine is none of Fly's."""

    def __init__(self, machine: str) -> None:
        """machine: this one's id; empty elsewhere."""
        self.machine = machine

    def replayed(self, headers: Mapping[str, str]) -> bool:
        """Whether a request may not be sent on: it was already, or there is no proxy that would."""
        return not self.machine or "fly-replay-src" in headers or "fly-replay-failed" in headers

    def let_another(self, request: Request) -> None:
        """Raise Elsewhere if another machine can be asked to answer."""
        if not self.replayed(request.headers):
            raise Elsewhere({"fly-replay": "elsewhere=true"})

    def to(self, owner: str) -> dict[str, str]:
        """The header that sends a request to one machine; if that is not to be reached, back to this one."""
        return {"fly-replay": f"instance={owner};timeout={SECONDS};fallback=force_self"}
