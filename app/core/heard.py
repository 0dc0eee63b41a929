"""Which words were heard: a text, how much of its sound was, and where in the sound its words end, as far as that is known."""

from collections.abc import Sequence

Mark = tuple[int, int]
"""So many characters of a text end at so many milliseconds of its sound."""


def words_heard(text: str, heard_ms: int, sent_ms: int, marks: Sequence[Mark] = ()) -> str:
    """Whole words of a text of which `heard_ms` of `sent_ms` were heard; empty if there was no sound.

    marks: ascending in both. Between two of them, and where there are none, each character takes as long as another.
    """
    if heard_ms >= sent_ms:
        return text if sent_ms else ""
    before, after = (0, 0), (len(text), sent_ms)
    for mark in marks:
        if mark[1] > heard_ms:
            after = mark
            break
        before = mark
    span = max(1, after[1] - before[1])
    share = min(len(text), before[0] + int(max(0, after[0] - before[0]) * (heard_ms - before[1]) / span))
    if share < len(text) and not text[share].isspace():
        share = text.rfind(" ", 0, share) + 1
    return text[:share].rstrip()
