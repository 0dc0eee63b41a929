"""Writes app/rules/area_codes.py from the geography that phonenumbers carries. For when that library is renewed.

    .venv/bin/python tools/area_codes.py            # writes the file
    .venv/bin/python tools/area_codes.py --check    # exits with 1, and says why, if the file is not what it would write

Offhook has the table and not the library's geocoder: importing that takes 0.7 s and 100 MB for what fits on a page.
"""

import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from phonenumbers import PhoneNumber, phonenumberutil
from phonenumbers.geodata import GEOCODE_DATA

TABLE = Path(__file__).resolve().parent.parent / "app/rules/area_codes.py"

STATES = {
    "Alabama": "AL", "Alaska": "AK", "Arizona": "AZ", "Arkansas": "AR", "California": "CA", "Colorado": "CO",
    "Connecticut": "CT", "Delaware": "DE", "Florida": "FL", "Georgia": "GA", "Hawaii": "HI", "Idaho": "ID", "Illinois": "IL",
    "Indiana": "IN", "Iowa": "IA", "Kansas": "KS", "Kentucky": "KY", "Louisiana": "LA", "Maine": "ME", "Maryland": "MD",
    "Massachusetts": "MA", "Michigan": "MI", "Minnesota": "MN", "Mississippi": "MS", "Missouri": "MO", "Montana": "MT",
    "Nebraska": "NE", "Nevada": "NV", "New Hampshire": "NH", "New Jersey": "NJ", "New Mexico": "NM", "New York": "NY",
    "North Carolina": "NC", "North Dakota": "ND", "Ohio": "OH", "Oklahoma": "OK", "Oregon": "OR", "Pennsylvania": "PA",
    "Rhode Island": "RI", "South Carolina": "SC", "South Dakota": "SD", "Tennessee": "TN", "Texas": "TX", "Utah": "UT",
    "Vermont": "VT", "Virginia": "VA", "Washington State": "WA", "Washington D.C.": "DC", "West Virginia": "WV",
    "Wisconsin": "WI", "Wyoming": "WY",
}  # fmt: skip

HEAD = '''"""The area codes of each US state. Written by tools/area_codes.py, which says from what; not edited by hand."""

AREA_CODES: dict[str, str] = {
'''

FOOT = '''}
"""By two-letter code of the state (50, and DC); codes in order, a space between. Territories and toll-free numbers have none."""

STATE_OF: dict[str, str] = {code: state for state, codes in AREA_CODES.items() for code in codes.split()}
"""The state of each area code."""
'''


def state_of(place: str) -> str:
    """The state that a place's name tells ("Novato, CA", "California"); empty if it tells none."""
    named = STATES.get(place, "")
    code = place.rpartition(", ")[2]
    return named or (code if code in STATES.values() else "")


def found() -> Iterator[tuple[str, str]]:
    """Every area code with its state: what is said of the whole code, else of most places in it."""
    told: dict[str, Counter[str]] = {}
    for prefix, names in GEOCODE_DATA.items():
        state = state_of(names.get("en", ""))
        if prefix.startswith("1") and len(prefix) >= 4 and state:
            weight = 10_000 if len(prefix) == 4 else 1
            told.setdefault(prefix[1:4], Counter())[state] += weight
    for code, states in sorted(told.items()):
        number = PhoneNumber(country_code=1, national_number=int(f"{code}5550100"))
        if phonenumberutil.region_code_for_number(number) == "US":
            yield code, states.most_common(1)[0][0]


def page() -> str:
    """The file as it should be."""
    codes: dict[str, list[str]] = {state: [] for state in sorted(STATES.values())}
    for code, state in found():
        codes[state].append(code)
    lines = []
    for state, its in codes.items():
        rows = textwrap.wrap(" ".join(its), 96)
        if len(rows) == 1:
            lines.append(f'    "{state}": "{rows[0]}",\n')
        else:
            parts = [f'        "{row} "\n' for row in rows[:-1]] + [f'        "{rows[-1]}"\n']
            lines.append(f'    "{state}": (\n{"".join(parts)}    ),\n')
    return HEAD + "".join(lines) + FOOT


def main() -> None:
    """Write the file, or compare it."""
    if sys.argv[1:] == ["--check"]:
        if TABLE.read_text(encoding="utf-8") == page():
            return
        sys.exit(f"{TABLE.name}: expected what tools/area_codes.py writes, got something else; run it without --check")
    TABLE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
