"""The tree of errors. Blame is in the type; the docstring is the default message.

OffhookError
├── PeerError            the phone's or the model's end broke its protocol: that call suffers, the house stands
│   ├── LinkClogged      a peer reads slower than we write
│   ├── LinkClosed       a write to a link that is closed already
│   └── ModelRefused     the model's server will not serve us: key, model, quota or configuration
├── HouseError           our bug
│   └── WrongPhase       the call machine was asked for a move that its table does not have
├── SetupError           the operator has to change something: settings, modes, a port, a database
├── AskedWrongly         the operator asked a page for what it cannot look for
├── CallRefused          a call that was asked for may not be placed; nothing was kept, and nothing spent
├── ToolError            for the model to read: a tool did not do it, and what to do instead
│   └── AskFirst         nothing is wrong: the caller is to be asked before it runs
└── BusinessError        the booking and look-up backend did not do it
    ├── SlotTaken        somebody else has that time
    ├── NotFound         there is no such booking
    └── BackendDown      the backend did not answer in time, or not in its contract's words
"""


class OffhookError(Exception):
    """Something went wrong in Offhook."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class PeerError(OffhookError):
    """The other end broke the protocol."""


class LinkClogged(PeerError):
    """The peer reads slower than we write, and the write bound was reached; the link is closed."""


class LinkClosed(PeerError):
    """The link is closed; nothing more can be sent on it."""


class ModelRefused(PeerError):
    """The model's server refuses to serve us; check the key, the model's name and the account."""

    def __init__(self, message: str = "", said: str = "") -> None:
        """said: the server's own sentence, for the operator who asks; never for a log, as it may repeat the talk."""
        super().__init__(message)
        self.said = said

    @property
    def in_full(self) -> str:
        """With what the server said."""
        return f"{self}: {self.said}" if self.said else str(self)


class HouseError(OffhookError):
    """A bug of ours; please report it with the log around it."""


class WrongPhase(HouseError):
    """The call machine was asked for a move that its phase table does not have."""


class SetupError(OffhookError):
    """The configuration cannot be used as it is."""


class AskedWrongly(OffhookError):
    """What was asked for cannot be looked for as it is written."""


class CallRefused(OffhookError):
    """The call may not be placed."""

    def __init__(self, code: str, message: str) -> None:
        """code: one word for programs, as docs/outbound.md lists them."""
        super().__init__(message)
        self.code = code


class ToolError(OffhookError):
    """The tool could not do it; the text tells the model what to do instead."""


class AskFirst(ToolError):
    """The caller has to be asked before this is done; ask them, and call again once they have agreed."""


class BusinessError(OffhookError):
    """The business backend did not do what was asked."""


class SlotTaken(BusinessError):
    """That time is taken or outside opening hours; offer another free slot."""


class NotFound(BusinessError):
    """There is no such booking; ask the caller for the name and the time again."""


class BackendDown(BusinessError):
    """The booking system does not answer right now; say so and offer to take a message."""
