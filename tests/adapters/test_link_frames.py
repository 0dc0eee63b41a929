"""Links against RFC 6455, case by case: what comes, what is sent back, how it ends. Numbers are the Autobahn suite's.

Each case is tried for both roles, with and without the fast path, in whole reads and octet by octet.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from websockets.protocol import Side

from app.adapters.link import WireLink
from tests.adapters.wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, End, F, close, first

LARGEST = 70_000
KAPPA = "\u03ba\u1f79\u03c3\u03bc\u03b5".encode()
BROKEN = KAPPA + b"\xed\xa0\x80" + b"edited"
NORMAL = close(1000)


class Case(NamedTuple):
    """`comes`, and then a normal close; `back` is sent for it, and the close frame that follows has this code.

    code: 1000 is the peer's own, answered. None: an empty one.
    """

    number: str
    comes: list[F]
    back: list[F]
    code: int | None = 1000


def same(number: str, *frames: F) -> Case:
    """Messages that come back as they are."""
    return Case(number, list(frames), list(frames))


def wrong(number: str, *frames: F, code: int = 1002, back: tuple[F, ...] = ()) -> Case:
    """Frames that fail the connection."""
    return Case(number, list(frames), list(back), code)


def _cases() -> Iterator[Case]:
    for n, size in enumerate((0, 1, 125, 126, 127, 128, 65_535, 65_536, 69_999), 1):
        yield same(f"1.1.{n}", F(TEXT, b"*" * size))
    yield Case("1.2.1 binary is passed over", [F(BINARY, b"\xfe" * 300)], [])
    for n, size in enumerate((0, 1, 5, 125), 1):
        yield Case(f"2.{n}", [F(PING, b"\xfe" * size)], [F(PONG, b"\xfe" * size)])
    yield wrong("2.5", F(PING, b"x" * 126))
    yield Case("2.7", [F(PONG), F(PONG, b"unsolicited")], [])
    yield Case("2.10", [F(PING, b"%d" % n) for n in range(10)], [F(PONG, b"%d" % n) for n in range(10)])
    long = F(TEXT, b"x" * 300)
    for bits in (0x40, 0x20, 0x10, 0x70):
        yield wrong(f"3.{bits:x}", long, F(TEXT, b"x" * 200, 0x80 | bits), long, back=(long,))
        yield wrong(f"3.{bits:x} ping", F(PING, b"x", 0x80 | bits))
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield wrong(f"4.{opcode}", long, F(opcode, b"x"), back=(long,))
    yield wrong("5.1", F(PING, b"part", 0), F(CONT, b"part"))
    yield Case("5.3", [first(TEXT, b"one "), F(CONT, b"two")], [F(TEXT, b"one two")])
    parts = [first(TEXT, b"x" * 200), F(PING, b"?"), first(CONT, b"y" * 200), F(PING, b"!"), F(CONT, b"z" * 200)]
    yield Case(
        "5.6", [*parts, long], [F(PONG, b"?"), F(PONG, b"!"), F(TEXT, b"x" * 200 + b"y" * 200 + b"z" * 200), long]
    )
    yield wrong("5.9", F(CONT, b"of nothing"), long)
    yield wrong("5.10", first(CONT, b"of nothing"), long)
    yield wrong("5.15", first(TEXT, b"one"), F(CONT, b"two"), F(CONT, b"three"), back=(F(TEXT, b"onetwo"),))
    yield wrong("5.18", first(TEXT, b"one"), F(TEXT, b"t" * 200))
    yield Case("5.x empty pieces", [first(TEXT), first(CONT), F(CONT)], [F(TEXT)])
    yield same("6.2.1", F(TEXT, b"Hello-\xc2\xb5@\xc3\x9f" * 30))
    yield Case(
        "6.2.3",
        [F(TEXT, KAPPA[:1], 0), *(first(CONT, KAPPA[n : n + 1]) for n in range(1, 11)), F(CONT)],
        [F(TEXT, KAPPA)],
    )
    yield wrong("6.3.1", long, F(TEXT, BROKEN), back=(long,), code=1007)
    yield wrong("6.3.1 fast shape", long, F(TEXT, BROKEN * 10), long, back=(long,), code=1007)
    yield wrong("6.3.2", first(TEXT, KAPPA), F(CONT, BROKEN), code=1007)
    yield wrong("6.4.1 at once", first(TEXT, KAPPA), first(CONT, b"\xf4\x90\x80\x80"), code=1007)
    yield wrong("6.6 ends amid a character", F(TEXT, KAPPA[:-1]), code=1007)
    yield wrong("6.6 ends amid a character, in pieces", first(TEXT, KAPPA), F(CONT, KAPPA[:-1]), code=1007)
    yield Case("7.1.3", [NORMAL, F(PING, b"too late"), long], [])
    yield Case("7.1.5", [first(TEXT, b"begun"), NORMAL, F(CONT, b"too late")], [])
    yield Case("7.3.1", [F(CLOSE)], [], None)
    yield wrong("7.3.2", F(CLOSE, b"a"))
    yield Case("7.3.5", [close(1000, b"x" * 123)], [])
    yield wrong("7.3.6", close(1000, b"x" * 124))
    yield wrong("7.5.1", close(1000, BROKEN), code=1007)
    for code in (1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        yield Case(f"7.7.{code}", [close(code)], [], code)
    for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535):
        yield wrong(f"7.9.{code}", close(code))
    yield wrong("9 too long", long, F(TEXT, b"x" * (LARGEST + 1)), back=(long,), code=1009)
    yield wrong("9 too long in pieces", first(TEXT, b"x" * 60_000), F(CONT, b"x" * 10_001), code=1009)


CASES = list(_cases())


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "core"])
@pytest.mark.parametrize("side", Side, ids=["server", "client"])
@pytest.mark.parametrize("case", CASES, ids=[case.number.replace(" ", "-") for case in CASES])
async def test_a_link_keeps_the_protocol(case: Case, side: Side, fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WireLink, "fast", fast)
    small = sum(len(frame.data) for frame in case.comes) < 5_000
    for chop in (0, 1, 7, 61) if small else (0, 1_000):
        end = End(side, echo=True, max_size=LARGEST)
        end.comes(*case.comes, NORMAL, chop=chop)
        *back, last = end.sent
        assert back == case.back, f"pieces of {chop}"
        assert (last.opcode, last.data[:2]) == (CLOSE, b"" if case.code is None else case.code.to_bytes(2, "big"))
        assert end.wire.eof is (side is Side.SERVER), "the server closes first"
        await end.hangs_up()
        assert [told for told, _ in end.ends] == [1005 if case.code is None else case.code]


@pytest.mark.parametrize("side", Side, ids=["server", "client"])
async def test_a_frame_masked_the_wrong_way_fails_by_its_header(side: Side) -> None:
    for head in (b"\x81\x7e\x01\x2c", b"\x81\x05", b"\x81\x05" + b"x" * 300, b"\x89\x00"):
        end = End(side)
        end.comes(F(TEXT, b"x" * 300))
        end.link.data_received(bytes([head[0], head[1] | (0x80 if side is Side.CLIENT else 0)]) + head[2:])
        assert end.sent[-1].data[:2] == (1002).to_bytes(2, "big"), "without waiting for what it announces"
        assert len(end.texts) == 1
        await end.hangs_up()


@pytest.mark.parametrize("side", Side, ids=["server", "client"])
async def test_a_message_past_the_bound_fails_by_its_header(side: Side) -> None:
    end = End(side)
    end.link.data_received(bytes([0x81, 0x7F if side is Side.CLIENT else 0xFF]) + (256 * 1024 + 1).to_bytes(8, "big"))
    assert end.sent[-1].data[:2] == (1009).to_bytes(2, "big")
    assert not end.link._held
    await end.hangs_up()
