"""Messages out of frames: fragments joined in order, text checked as it comes."""

import codecs

from websockets.frames import Frame, Opcode


class Messages:
    """Of one link. Given data frames in the order that the core let through; control frames are none of its business."""

    def __init__(self) -> None:
        self._opcode = Opcode.TEXT
        self._pieces: list[bytes] | None = None
        self._decoder: codecs.IncrementalDecoder | None = None

    @property
    def begun(self) -> bool:
        """Whether a message has begun whose last fragment has not come."""
        return self._pieces is not None

    def add(self, frame: Frame) -> tuple[Opcode, bytes] | None:
        """One more frame; the message that it completes, if it does.

        Raises UnicodeDecodeError for text that is not UTF-8, with the fragment that shows it and not only with the last one:
        a connection may fail as soon as that is known. Source: RFC 6455, section 8.1.
        """
        data = bytes(frame.data)
        if frame.opcode is not Opcode.CONT:
            self._opcode = frame.opcode
            if frame.fin:
                if frame.opcode is Opcode.TEXT:
                    data.decode()
                return frame.opcode, data
            self._pieces = []
            self._decoder = codecs.getincrementaldecoder("utf-8")() if frame.opcode is Opcode.TEXT else None
        assert self._pieces is not None, "the core lets no continuation through that continues nothing"
        if self._decoder is not None:
            self._decoder.decode(data, frame.fin)
        if data:  # the core's limit counts bytes, so empty fragments without end would be kept without end
            self._pieces.append(data)
        if not frame.fin:
            return None
        whole, self._pieces = b"".join(self._pieces), None
        return self._opcode, whole


def is_utf8(text: bytes) -> bool:
    """Whether text may be sent as such."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
