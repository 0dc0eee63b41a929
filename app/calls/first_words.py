"""How the talk of a new call begins: what a mode opens it with, what must be said first, and who waits for whom."""

from app.adapters.opening import Opening
from app.consent import begin_with
from app.mode import Mode

FIRST_ANSWER = 'Begin your first answer with exactly this sentence, word for word: "{sentence}" Then go on.'


def first_words(mode: Mode, instructions: str, given: Opening | None = None, *, waits: bool = False) -> Opening:
    """How a mode begins a call. instructions: its whole prompt; per-response instructions replace it, so it goes with them.

    given: what must be said before anything else (`sentence`), and the state of the mode's flow that the call begins in.
    waits: whoever we called speaks first, if the mode does not want otherwise: then the sentence begins the first answer.
    """
    sentence, state = (given.sentence, given.state) if given is not None else ("", "")
    if waits and not mode.opening:
        return Opening(state="\n".join(filter(None, (state, sentence and FIRST_ANSWER.format(sentence=sentence)))))
    line = begin_with(sentence, mode.opening)
    if mode.opening_instructions and line:
        return Opening(state=state, instructions=f"{instructions}\n\n{line}")
    return Opening(state=state, text=line)
