"""`./offhook refused`: rows that Postgres would not take for what is in them, and another try once that is mended."""

from typing import Any

import msgspec

from app import settings as all_settings
from app.adapters.spool_folder import BOOKS, SpoolFolder


class Refused(msgspec.Struct):
    """A line of the file. row: kind, key and fields, as the spool has them."""

    at: str
    why: str
    code: str
    row: Any


def refused(*, as_json: bool, retry: bool) -> int:
    """Print them; or give them to the running server, or the next one, to be written again."""
    folder = SpoolFolder(all_settings.load().data / "spool")
    lines = folder.refused.rows()
    if retry:
        rows = [msgspec.json.encode(msgspec.json.decode(line, type=Refused).row) for line in lines]
        if rows:
            folder.append(BOOKS, rows)
            folder.refused.remove(lines)
            folder.close()
        print(f"{len(rows)} rows wait to be written again; those that are refused again will be listed here again")
        return 0
    for line in lines:
        if as_json:
            print(line.decode(errors="replace"))
            continue
        it = msgspec.json.decode(line, type=Refused)
        kind, fields = (it.row[0], it.row[2]) if isinstance(it.row, list) and len(it.row) == 3 else ("?", {})
        sid = fields.get("call_sid", "") if isinstance(fields, dict) else ""
        print(f"{it.at}  {kind:12} {sid}  {it.code} {it.why}".rstrip())
    if not as_json:
        print(f"{len(lines)} rows were refused")
    return 0
