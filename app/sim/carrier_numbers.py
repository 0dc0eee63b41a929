"""The stand-in account's phone numbers and their settings, as the IncomingPhoneNumbers resource shows them."""

import re
import uuid
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

NUMBER = re.compile(r"\+[1-9]\d{6,14}")
"""Who can be texted."""
DIALLABLE = re.compile(r"\+[1-9]\d{6,14}|client:\S+|sip:\S+")


def new_sid(prefix: str) -> str:
    """A SID as Twilio makes them: two letters and 32 hex digits."""
    return prefix + uuid.uuid4().hex


def rfc2822() -> str:
    """Now, as Twilio's voice callbacks and REST answers write it: `Sat, 21 Nov 2026 07:30:00 +0000`."""
    return formatdate(usegmt=False)[:-5] + "+0000"


@dataclass
class PhoneNumber:
    """One number of the account. Empty strings mean "not set", as in Twilio's console."""

    phone_number: str
    voice_url: str = ""
    voice_method: str = "POST"
    voice_fallback_url: str = ""
    voice_fallback_method: str = "POST"
    status_callback: str = ""
    status_callback_method: str = "POST"
    voice_application_sid: str = ""
    """A TwiML app that it belongs to; then its own voice URL is ignored, as with a trunk."""
    trunk_sid: str = ""
    sms_url: str = ""
    sms_method: str = "POST"
    sid: str = field(default_factory=lambda: new_sid("PN"))

    def settings(self) -> dict[str, str]:
        """The fields that a REST update may set, by their snake_case names."""
        return {name: value for name, value in vars(self).items() if name not in ("sid", "phone_number")}

    def as_json(self, account_sid: str) -> dict[str, Any]:
        """The resource as REST answers it."""
        return {
            **self.settings(),
            "sid": self.sid,
            "account_sid": account_sid,
            "phone_number": self.phone_number,
            "friendly_name": self.phone_number,
            "trunk_sid": self.trunk_sid or None,
            "voice_receive_mode": "voice",
            "voice_caller_id_lookup": False,
            "capabilities": {"voice": True, "sms": True, "mms": False, "fax": False},
            "status": "in-use",
            "api_version": "2010-04-01",
            "uri": f"/2010-04-01/Accounts/{account_sid}/IncomingPhoneNumbers/{self.sid}.json",
        }
