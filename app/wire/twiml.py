"""The XML documents that we ever answer the carrier with, one function each.

Built by Twilio's own writer, never by string formatting. The writer escapes, but lets control characters through, which end a
call with error 12100: `clean` takes them out of everything that a caller can influence. Source: Twilio, TwiML verbs.
"""

from collections.abc import Mapping

from twilio.twiml.voice_response import Connect, Dial, VoiceResponse

PARAMETER_LIMIT = 500
"""Characters of a <Parameter>'s name and value together."""


def clean(text: str) -> str:
    """Text without what XML 1.0 cannot hold: control characters, lone surrogates, non-characters."""
    return "".join(
        c
        for c in text
        if c in "\t\n\r" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or "\U00010000" <= c <= "\U0010ffff"
    )


def stream(*, url: str, next_url: str, status_url: str, parameters: Mapping[str, str], announcement: str = "") -> str:
    """Open the media stream; whatever becomes of it, the carrier then asks `next_url`.

    url: ws(s), without a query. A parameter longer than the carrier takes is cut.
    """
    response = VoiceResponse()
    if announcement:
        response.say(clean(announcement))
    connect = Connect(action=next_url, method="POST")
    media = connect.stream(url=url, status_callback=status_url, status_callback_method="POST")
    for name, value in parameters.items():
        media.parameter(name=name, value=clean(value)[: PARAMETER_LIMIT - len(name)])
    response.append(connect)
    response.redirect(next_url, method="POST")
    return str(response)


def dial(*, number: str, caller_id: str, dialed_url: str, say: str = "", timeout: int = 25) -> str:
    """Put the caller through to a person; the carrier reports to `dialed_url` what became of it."""
    response = VoiceResponse()
    if say:
        response.say(clean(say))
    kinds = {"caller_id": clean(caller_id)} if caller_id else {}
    person = Dial(action=dialed_url, method="POST", timeout=timeout, answer_on_bridge=True, **kinds)
    person.number(number)
    response.append(person)
    return str(response)


def hang_up(say: str = "") -> str:
    """End the call, with a last sentence if there is one."""
    response = VoiceResponse()
    if say:
        response.say(clean(say))
    response.hangup()
    return str(response)


def nothing() -> str:
    """The answer to a callback that only tells us something."""
    return str(VoiceResponse())
