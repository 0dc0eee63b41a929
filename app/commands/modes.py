"""`./offhook modes`: what the registry found, and what each mode lacks."""

import sys

from app import registry
from app import settings as all_settings
from app.commands.conformance import remarks, shortcomings
from app.mode_sheet import every_tool


def modes(*, check: bool) -> int:
    """List the modes; with `check` also what each lacks, and then 1 if any lacks anything. Raises SetupError."""
    settings = all_settings.load()
    found = registry.find(settings)
    good = True
    for name, mode in found.modes.items():
        print(f"{name:16} {len(every_tool(mode)):>2} tools  /voice/ws/{name}")
        if check:
            lacks = shortcomings(mode, settings)
            good = good and not lacks
            for line in [f"LACKS {lack}" for lack in lacks] or ["conforms"]:
                print(f"{'':16} {line}")
            for remark in remarks(mode, settings):
                print(f"{'':16} remark: {remark}")
    for warning in found.warnings:
        print(f"offhook modes: warning: {warning}", file=sys.stderr)
    return 0 if good else 1
