"""Which server a softphone calls: this one, as it sees itself."""

from collections.abc import Mapping

import msgspec


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """The server to call, by its real doors. `url` is where it is, `public_url` what it believes to be."""

    url: str
    public_url: str
    auth_token: str
    account_sid: str
    phone_number: str = ""
    """The account's own number, if there is one: the caller id of its transfers."""
    desks: Mapping[str, str] = {}
    """Names of desks by their numbers."""
