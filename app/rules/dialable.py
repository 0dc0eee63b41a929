"""Which numbers callers are never put through to: those that pay whoever owns them for every minute of a call.

A caller who gets a desk's line to ring such a number has made money, at the expense of the house (toll fraud). Targets come from
offhook.toml alone, so only a slip or a trick there can do it; this is the net below. Source: the numbering plans, as the
`phonenumbers` library has them.
"""

import phonenumbers
from phonenumbers import PhoneNumberType

PAID = {
    PhoneNumberType.PREMIUM_RATE: "a premium-rate number",
    PhoneNumberType.SHARED_COST: "a shared-cost number",
}
PREMIUM_PREFIXES = ("+1900", "+1976")
"""Premium whatever follows: numbers of them that are not given to anybody (yet) are of no type."""
NO_COUNTRY = frozenset({808, 870, 878, 881, 882, 883, 888, 979})
"""Codes of satellite phones, networks without a country, and international premium services."""


def dear(number: str) -> str:
    """Why nobody should be put through to a number without its being allowed by name; empty if nothing speaks against it.

    number: E.164.
    """
    if number.startswith(PREMIUM_PREFIXES):
        return PAID[PhoneNumberType.PREMIUM_RATE]
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return "a number of no country"
    if parsed.country_code in NO_COUNTRY:
        return "a satellite or an international service number"
    return PAID.get(phonenumbers.number_type(parsed), "")
