"""The product's own recordings: what a caller hears where no model can speak. Made by tools/render_clips.py."""

from functools import cache
from pathlib import Path
from typing import Literal

from app.errors import SetupError

ClipName = Literal["one_moment", "interrupted"]
"""one_moment: "One moment please." interrupted: "One moment, the line was interrupted." """

_CLIPS = Path(__file__).with_name("clips")


def clip(name: ClipName) -> bytes:
    """The recording as g711 u-law, 8 kHz mono, whole 20 ms frames (160 bytes); read once.

    Call it at start-up too: that is where a missing file should be noticed, not in a call.
    """
    return _read(name)


@cache  # not on `clip`: the cache would take any name past the type checker
def _read(name: str) -> bytes:
    path = _CLIPS / f"{name}.ulaw"
    try:
        return path.read_bytes()
    except OSError as error:
        raise SetupError(f"the recording {name!r} cannot be read ({error}); restore {path}") from error
