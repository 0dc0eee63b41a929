"""What became of a text message that the carrier was asked to send."""

from typing import Literal

import msgspec


class Texted(msgspec.Struct, frozen=True):
    """sent: the carrier took it. refused: it did not, for `code`'s reason. unknown: no answer came, and it may be on its way."""

    state: Literal["sent", "refused", "unknown"]
    code: int = 0
    """Twilio's error code; 0 if there is none, as when the carrier could not be reached."""
