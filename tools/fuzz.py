"""Throws inputs at both codecs and at the call machine, by chance: `./offhook fuzz 1000000 --seed 7`.

Each input is one message of the carrier's or the model's, or one event in the life of a call. Only PeerError may leave a codec,
and nothing the machine. What does is shortened and kept in tests/fuzz/finds, where the suite tries it again from then on.
Prints the rate and the finds; the exit code is 1 if there is one. Needs the packages of requirements-dev.lock.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Literal

from tests.fuzz import chance, finds, words
from tests.fuzz.call import TERMS, Step, bystander, to_plain

CALL_EVENTS = 80
SHOW_SECONDS = 10.0
WHY = 60
"""Finds whose reasons begin so are one."""
MOST_FINDS = 20
"""Past so many there is something to mend first."""

Told = Callable[[int], None]


def main() -> int:
    """Parse, throw, report."""
    parser = argparse.ArgumentParser(prog="./offhook fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=1_000_000, help="inputs in all (a million)")
    parser.add_argument("--seed", type=int, default=None, help="the same inputs again; none: others each time")
    asked = parser.parse_args()
    if asked.count < 1:
        parser.error(f"count: expected 1 or more, got {asked.count}")
    seed = asked.seed if asked.seed is not None else time.time_ns() % 1_000_000
    return 1 if throw(asked.count, seed) else 0


def throw(count: int, seed: int) -> list[finds.Find]:
    """So many inputs, a third of each kind; the finds, which are kept by then."""
    began = shown = time.monotonic()
    done, found = 0, dict[str, finds.Find]()
    for inputs, find in thrown(count, seed):
        done += inputs
        if find is not None and find.why[:WHY] not in found:
            found[find.why[:WHY]] = find
            _say(f"FIND {find.of}: {find.why}\n     {finds.keep(find)}")
            if len(found) >= MOST_FINDS:
                break
        if time.monotonic() - shown > SHOW_SECONDS:
            shown = time.monotonic()
            _say(f"{done:,} inputs, {done / (shown - began):,.0f} a second, {len(found)} finds")
    seconds = time.monotonic() - began
    _say(f"{done:,} inputs with seed {seed} in {seconds:.0f} s, {done / seconds:,.0f} a second: {len(found)} finds")
    return list(found.values())


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def thrown(count: int, seed: int) -> Iterator[tuple[int, finds.Find | None]]:
    """Each throw: how many inputs it was, and what it found."""
    random = Random(seed)  # noqa: S311 - chance, not secrecy
    share = count // 3
    for _ in range(share):
        yield 1, _message(random, "carrier")
    for _ in range(share):
        yield 1, _message(random, "model")
    left = count - 2 * share
    while left > 0:
        steps = chance.steps(random, min(CALL_EVENTS, left))
        terms = random.randrange(len(TERMS))
        left -= len(steps)
        yield len(steps), _call(steps, terms)


def _message(random: Random, of: Literal["carrier", "model"]) -> finds.Find | None:
    check = words.CODECS[of][0]
    data = chance.message(random, words.CARRIER if of == "carrier" else words.MODEL)
    if not finds.broken_by(check, data):
        return None
    data = finds.shrunk(check, data)
    return finds.of_octets(of, data, finds.broken_by(check, data))


def _call(steps: list[Step], terms: int) -> finds.Find | None:
    def check(given: list[Step]) -> object:
        return bystander(given, TERMS[terms])

    if not finds.broken_by(check, steps):
        return None
    steps = finds.shrunk(check, steps)
    return finds.Find(of="call", why=finds.broken_by(check, steps), terms=terms, steps=to_plain(steps))


if __name__ == "__main__":
    sys.exit(main())
