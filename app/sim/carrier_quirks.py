"""What a stand-in call does out of the ordinary: trouble seen in the field, and forgeries that a server must refuse."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Signature = Literal["right", "wrong", "missing"]


@dataclass(frozen=True)
class Quirks:
    """Options of one call; the defaults are a carrier that behaves.

    signed_slash, signed_port: the upgrade's signature is over the URL with one more trailing `/`, or with `:443`
    (Twilio's security page knows both forms). repeated_webhook: the first webhook is delivered twice, as after a lost
    answer; the second answer counts. start_*: what `start` says instead of the truth. lost_ms: the frames of a stream from the one
    millisecond to the other never arrive. no_pong: pings are not answered.
    """

    webhook_signature: Signature = "right"
    upgrade_signature: Signature = "right"
    signed_slash: bool = False
    signed_port: bool = False
    repeated_webhook: bool = False
    start_delay_seconds: float = 0.0
    start_call_sid: str | None = None
    start_account_sid: str | None = None
    start_parameters: Mapping[str, str] | None = None
    lost_ms: tuple[int, int] = (0, 0)
    no_pong: bool = False
    extra_fields: Mapping[str, str] = field(default_factory=dict)
