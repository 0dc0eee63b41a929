"""The XML documents that we ever answer the carrier with, one function each.

Built by Twilio's own writer, never by string formatting. The writer escapes, but lets control characters through, which end a
call with error 12100: `clean` takes them out of everything that a caller can influence. Source: Twilio, TwiML verbs.
"""

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from twilio.twiml.voice_response import Connect, Dial, Gather, VoiceResponse

PARAMETER_LIMIT = 500
"""Characters of a <Parameter>'s name and value together."""
SAY_LIMIT = 3000
"""Characters of a <Say>, in whatever voice."""


def clean(text: str) -> str:
    """Text without what XML 1.0 cannot hold: control characters, lone surrogates, non-characters."""
    return "".join(
        c
        for c in text
        if c in "\t\n\r" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or "\U00010000" <= c <= "\U0010ffff"
    )


def stream(
    *,
    url: str,
    next_url: str,
    status_url: str,
    parameters: Mapping[str, str],
    announcement: str = "",
    language: str = "",
) -> str:
    """Open the media stream; whatever becomes of it, the carrier then asks `next_url`.

    url: ws(s), without a query. A parameter longer than the carrier takes is cut. announcement: said before it, in that
    language (as en-US; the carrier's own if empty).
    """
    response = VoiceResponse()
    if announcement:
        response.say(clean(announcement), **({"language": language} if language else {}))
    connect = Connect(action=next_url, method="POST")
    media = connect.stream(url=url, status_callback=status_url, status_callback_method="POST")
    for name, value in parameters.items():
        media.parameter(name=name, value=clean(value)[: PARAMETER_LIMIT - len(name)])
    response.append(connect)
    response.redirect(next_url, method="POST")
    return str(response)


def dial(
    *,
    number: str,
    caller_id: str,
    dialed_url: str,
    say: str = "",
    timeout: int = 25,
    whisper_url: str = "",
    ring_tone: str = "",
) -> str:
    """Put the caller through to a person; the carrier reports to `dialed_url` what became of it.

    whisper_url: what the person hears before they are joined, if anything. Until then the caller goes on hearing it ring, which
    takes answerOnBridge: without it there is silence once somebody picks up. Source: Twilio, glossary, "Call whisper".
    ring_tone: the country whose ringing it is.
    """
    response = VoiceResponse()
    if say:
        response.say(clean(say))
    kinds = {"caller_id": clean(caller_id)} if caller_id else {}
    if ring_tone:
        kinds["ring_tone"] = ring_tone
    person = Dial(action=dialed_url, method="POST", timeout=timeout, answer_on_bridge=True, **kinds)
    person.number(number, **({"url": whisper_url, "method": "POST"} if whisper_url else {}))
    response.append(person)
    return str(response)


def gather(
    *, say: Sequence[str], action_url: str, num_digits: int = 1, finish_on_key: str = "", timeout: int = 6
) -> str:
    """Say something and wait for keys, which end what is said; the carrier asks `action_url` with them, or without any.

    finish_on_key: empty, so that # and * are keys like others. timeout: seconds after the last word, and between two keys.
    """
    response = VoiceResponse()
    keys = Gather(
        input="dtmf",
        action=action_url,
        method="POST",
        num_digits=num_digits,
        finish_on_key=finish_on_key,
        timeout=timeout,
        action_on_empty_result=True,
    )
    for sentence in filter(None, map(clean, say)):  # an empty <Say> is warning 13520, one of over 4096 characters 13521
        keys.say(sentence[:SAY_LIMIT])
    response.append(keys)
    response.redirect(action_url, method="POST")
    return str(response)


def record(*, say: str, action_url: str, status_url: str, nothing_heard: str, max_seconds: int, timeout: int) -> str:
    """Ask for a message and record it, until # or a silence of `timeout` seconds; then the carrier asks `action_url`.

    A caller who says nothing at all is told so: the carrier goes on behind the verb. Source: Twilio, <Record>.
    """
    response = VoiceResponse()
    response.say(clean(say)[:SAY_LIMIT])
    response.record(
        action=action_url,
        method="POST",
        max_length=max_seconds,
        timeout=timeout,
        finish_on_key="#",
        play_beep=True,
        recording_status_callback=status_url,
        recording_status_callback_method="POST",
        recording_status_callback_event="completed absent",
    )
    response.say(clean(nothing_heard)[:SAY_LIMIT])
    response.hangup()
    return str(response)


def said_before(say: str, document: str) -> str:
    """A document of ours with a sentence before everything else in it."""
    response = ElementTree.fromstring(document)  # noqa: S314 - written above
    sentence = ElementTree.Element("Say")
    sentence.text = clean(say)[:SAY_LIMIT]
    response.insert(0, sentence)
    return ElementTree.tostring(response, encoding="unicode", xml_declaration=True)


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
