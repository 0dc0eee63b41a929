"""What a caller is given when no talk is possible, rung by rung: the keypad menu, a person, and at last a voicemail.

Each rung is a document that needs neither the model nor the database, so that the next one is there when both are gone; what is to
be written down waits in the journal. The rungs before these (another session, another engine) are the machine's.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from app import metrics
from app.calls.live_call import LiveCall, Step
from app.calls.switchboard import Switchboard
from app.calls.takeover import of_epoch
from app.core.record import CallRecord
from app.core.rows import CallInfo, CallStarted
from app.core.standing import MissedCall, Voicemail
from app.settings import Settings
from app.web import whispers
from app.web.guard import Form
from app.web.menu import KeypadMenu
from app.wire import twiml

log = structlog.get_logger()

SORRY_PERSON = "I am sorry, something went wrong on our side. I am putting you through to a person."
SORRY_GOODBYE = "I am sorry, something went wrong on our side. Please call again a little later. Goodbye."
BUSY_PERSON = "All our lines are busy. I am putting you through to a person."
CAPPED_PERSON = "I am sorry, I cannot talk right now. I am putting you through to a person."
CAPPED_GOODBYE = "I am sorry, I cannot take your call right now. Please call again another time. Goodbye."
SORRY = "I am sorry, something went wrong on our side."
BUSY = "All our lines are busy right now."
NOBODY = "I am sorry, nobody can come to the phone right now."
LEAVE_MESSAGE = (
    "Please leave your name, your number and a message after the tone. Press the pound key when you are done."
)
NOTHING_HEARD = "I did not hear a message. Please call again a little later. Goodbye."
KEPT = "Thank you. Your message was recorded. Goodbye."
MESSAGE_SECONDS, SILENCE_SECONDS = 180, 6

RECORDED = "/twilio/recorded"
RECORDING_STATUS = "/twilio/recording-status"
_RECORDING = re.compile(r"RE[0-9a-fA-F]{32}")


class Rungs:
    """Makes the documents of what follows a stream."""

    def __init__(
        self,
        settings: Settings,
        board: Switchboard,
        url: Callable[[str], str],
        onward: Callable[[LiveCall], str],
        stream: Callable[[LiveCall], str],
    ) -> None:
        """onward: as `KeypadMenu` has it. stream: the document of a call's next stream."""
        self.settings = settings
        self.board = board
        self.url = url
        self.stream = stream
        self.menu = KeypadMenu(board, url, onward, lambda call, say: self.voicemail(call.info, call, "menu", say))

    def document(self, call: LiveCall, step: Step, desk: str) -> str:
        """The document for one step of a call."""
        match step:
            case "resume":
                self.board.prepare(call)
                return self.stream(call)
            case "dial":
                return self._dial(call, desk)
            case "message":
                document = twiml.hang_up(self.board.voicemail(call))
                self.board.finish(call)
                return document
            case "apologise":
                return self.down(call)
        self.board.finish(call)
        return twiml.hang_up(call.next.say)

    def down(self, call: LiveCall) -> str:
        """The first rung that there is: the menu, a person, a voicemail. Who was on one of them before is led further down."""
        if call.leaves_message:
            self.board.finish(call)
            return twiml.hang_up(SORRY_GOODBYE)
        if self.menu.serves(call.mode) and not call.led_to_person:
            metrics.rungs_total.labels("menu").inc()
            return self.menu.begin(call)
        person, sorry = _apologies(call)
        if document := self.person(call.info, call, person):
            return document
        if not sorry:
            self.board.finish(call)
            return twiml.hang_up(CAPPED_GOODBYE)
        return self.voicemail(call.info, call, "nobody is there", sorry)

    def person(self, info: CallInfo, call: LiveCall | None, say: str) -> str:
        """Say sorry and dial a person, once a call; empty when nobody is configured."""
        number = self.settings.human_transfer_number
        if not number or (call is not None and call.led_to_person):
            return ""
        if call is not None:
            call.led_to_person = True
            if call.how == "abandoned" and call.door == "none":
                call.how = "failed"
            self.board.note(call, "led_to_person")
            self.board.keep(call)
        metrics.rungs_total.labels("person").inc()
        return twiml.dial(
            number=number,
            caller_id=self._caller_id(info),
            dialed_url=of_epoch(self.url("/twilio/dialed"), 1 if call is None else call.record.epoch),
            say=say,
        )

    def busy(self, info: CallInfo, mode_name: str) -> str:
        """There is no room for a call: a person, or a voicemail."""
        return self.person(info, None, BUSY_PERSON) or self.voicemail(info, None, "no room", BUSY, mode_name=mode_name)

    # --- voicemail --------------------------------------------------------------------------------------------------

    def voicemail(
        self, info: CallInfo, call: LiveCall | None, why: str, say: str = NOBODY, *, mode_name: str = ""
    ) -> str:
        """Nobody can talk to this caller: they are asked to leave a message, and the call is written down as missed."""
        log.warning("a call is missed", call_sid=info.call_sid, why=why)
        now = datetime.now(UTC)
        self.board.journal.put(MissedCall(call_sid=info.call_sid, at=now, why=why))
        metrics.rungs_total.labels("voicemail").inc()
        if call is not None:
            call.leaves_message, call.apologised, call.how = True, True, "missed"
            self.board.note(call, "voicemail_offered")
            self.board.journal.put(call.record.ended(now, "missed"))
            self.board.keep(call)
        elif not self.board.knows(info.call_sid):  # it came in when there was no room: it has no row yet
            self.board.journal.put(
                CallStarted(
                    call_sid=info.call_sid,
                    mode=mode_name,
                    direction="inbound",
                    from_number=info.caller,
                    to_number=info.dialled,
                    started_at=now,
                    version=self.board.version,
                )
            )
            self.board.journal.put(CallRecord(call_sid=info.call_sid, mode=mode_name).ended(now, "missed"))
        return twiml.record(
            say=f"{say} {LEAVE_MESSAGE}",
            action_url=self.url(RECORDED),
            status_url=self.url(RECORDING_STATUS),
            nothing_heard=NOTHING_HEARD,
            max_seconds=MESSAGE_SECONDS,
            timeout=SILENCE_SECONDS,
        )

    def recorded(self, form: Form) -> bool:
        """The carrier tells of a message that was left, by either door, and perhaps again; whether there is one."""
        recording, url, seconds = (
            form.get("RecordingSid", ""),
            form.get("RecordingUrl", ""),
            form.get("RecordingDuration", ""),
        )
        call_sid = form.get("CallSid", "")
        length = int(seconds) if seconds.isascii() and seconds.isdecimal() and len(seconds) < 6 else 0
        if form.get("RecordingStatus", "completed") != "completed" or not _RECORDING.fullmatch(recording) or not length:
            log.info("no message was left", call_sid=call_sid, status=form.get("RecordingStatus", ""))
            return False
        now = datetime.now(UTC)
        self.board.journal.put(
            Voicemail(recording_sid=recording, call_sid=call_sid, at=now, url=url[:500], seconds=length)
        )
        call = self.board.calls.get(call_sid)
        if call is not None and call.leaves_message and call.how != "voicemail":
            call.how = "voicemail"
            self.board.note(call, "voicemail_left")
            self.board.journal.put(call.record.ended(now, call.how))
        return True

    # --- parts ------------------------------------------------------------------------------------------------------

    def _dial(self, call: LiveCall, desk: str) -> str:
        office, attempt = self.board.office_of(call), call.transfers.current
        return twiml.dial(
            number=office.desks[desk].number,
            caller_id=self._caller_id(call.info),
            dialed_url=of_epoch(
                self.url("/twilio/dialed" + (f"?transfer={attempt.seq}" if attempt is not None else "")),
                call.record.epoch,
            ),
            whisper_url=whispers.url(self.url, call.transfers),
            ring_tone=office.ring_tone,
        )

    def _caller_id(self, info: CallInfo) -> str:
        """The number that the person sees: ours, else the one that the caller dialled."""
        return self.settings.twilio_phone_number or (info.dialled if info.dialled.startswith("+") else "")


def _apologies(call: LiveCall) -> tuple[str, str]:
    """Why no agent talks to this caller: before a person, and before a voicemail, which a capped caller is not offered."""
    if call.turned_away is None:
        return SORRY_PERSON, SORRY
    return (BUSY_PERSON, BUSY) if call.turned_away == "lag" else (CAPPED_PERSON, "")
