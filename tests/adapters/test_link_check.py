"""The look at the core at start: the pinned one passes; one that differs costs the fast path and no more."""

from typing import Any
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs
from websockets.frames import Frame
from websockets.protocol import Protocol, Side
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

from app.adapters import frames, link_check
from app.adapters.link import WireLink
from app.adapters.link_check import check_core, mismatch
from tests.adapters.wire import TEXT, End, F


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WireLink, "fast", True)


def test_the_pinned_core_is_as_the_fast_path_wants_it() -> None:
    assert mismatch() == ""
    assert check_core()
    assert WireLink.fast


def _reads_ahead(patch: pytest.MonkeyPatch) -> None:
    receive = Protocol.receive_data

    def hoarding(self: Protocol, data: bytes) -> None:
        receive(self, data)
        if data[:1] == b"\x81":
            self.reader.buffer += b"\x81"

    patch.setattr(Protocol, "receive_data", hoarding)


def _counts_frames(patch: pytest.MonkeyPatch) -> None:
    def serialize(self: Frame, **options: Any) -> bytes:
        return b"\x81\x00extra"

    patch.setattr(Frame, "serialize", serialize)


def _compresses(patch: pytest.MonkeyPatch) -> None:
    accept = ServerProtocol.accept

    def eager(self: ServerProtocol, request: Any) -> Any:
        response = accept(self, request)
        self.extensions = [object()]  # type: ignore[list-item]
        return response

    patch.setattr(ServerProtocol, "accept", eager)


def _has_another_reader(patch: pytest.MonkeyPatch) -> None:
    def __init__(self: Any) -> None:  # noqa: N807
        self.chunks = []
        self.eof = False

    patch.setattr(StreamReader, "__init__", __init__)


def _masks_otherwise(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(frames, "apply_mask", lambda data, mask: data)
    patch.setattr(link_check, "apply_mask", lambda data, mask: data)


@pytest.mark.parametrize("other", [_reads_ahead, _counts_frames, _compresses, _has_another_reader, _masks_otherwise])
def test_another_core_is_found_out(other: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other(monkeypatch)
    assert mismatch() != ""


def test_what_is_found_out_is_said_loudly_and_switches_the_fast_path_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_check, "mismatch", lambda: "a ping is answered")
    with capture_logs() as logs:
        assert not check_core()
    assert [(line["log_level"], line["why"]) for line in logs] == [("error", "a ping is answered")]
    assert not WireLink.fast


@pytest.mark.parametrize("side", Side, ids=["server", "client"])
async def test_without_the_fast_path_everything_goes_through_the_core(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WireLink, "fast", False)
    end = End(side, echo=True)
    core = end.link.core
    fed, sent = Mock(wraps=core.receive_data), Mock(wraps=core.send_text)
    monkeypatch.setattr(core, "receive_data", fed)
    monkeypatch.setattr(core, "send_text", sent)
    frames = [F(TEXT, b"x" * 300), F(TEXT, b"y" * 65_535), F(TEXT, b"short")]
    end.comes(*frames, chop=700)
    assert end.sent == frames
    assert (fed.call_count, sent.call_count) == (3, 3)
    await end.hangs_up()
