"""The TwiML voice verbs, their attributes and their children, as tables; anything else is warning 12200.

Source: the twilio library 9.13's serialised names and the TwiML pages.
"""

from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_RECORDING = "recordingStatusCallback recordingStatusCallbackMethod recordingStatusCallbackEvent"
_CHILD_LEG = "url method statusCallbackEvent statusCallback statusCallbackMethod"
_AMD = (
    "machineDetection machineDetectionTimeout machineDetectionSpeechThreshold machineDetectionSpeechEndThreshold "
    "machineDetectionSilenceTimeout amdStatusCallback amdStatusCallbackMethod"
)

ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "Connect": _words("action method"),
    "Stream": _words("url name track statusCallback statusCallbackMethod connectorName audioFormat sampleRate"),
    "Parameter": _words("name value"),
    "Dial": _words(
        "action method timeout hangupOnStar timeLimit callerId record trim recordingConfigurationId recordingTrack "
        f"answerOnBridge ringTone sequential referUrl referMethod events passports callReason {_RECORDING}"
    ),
    "Number": _words(f"sendDigits byoc {_CHILD_LEG} {_AMD}"),
    "Sip": _words(f"username password {_CHILD_LEG} {_AMD}"),
    "Client": _words(_CHILD_LEG),
    "Conference": _words(
        "muted beep startConferenceOnEnter endConferenceOnExit waitUrl waitMethod maxParticipants record trim region "
        "coach statusCallback statusCallbackEvent statusCallbackMethod eventCallbackUrl jitterBufferSize "
        f"participantLabel {_RECORDING}"
    ),
    "Gather": _words(
        "input action method timeout speechTimeout maxSpeechTime profanityFilter finishOnKey numDigits "
        "partialResultCallback partialResultCallbackMethod language hints bargeIn debug actionOnEmptyResult "
        "speechModel enhanced"
    ),
    "Say": _words("voice loop language"),
    "Play": _words("loop digits"),
    "Pause": _words("length"),
    "Record": _words(
        "action method timeout finishOnKey maxLength playBeep trim transcribe transcribeCallback "
        f"recordingConfigurationId {_RECORDING}"
    ),
    "Redirect": _words("method"),
    "Reject": _words("reason"),
    "Hangup": _words(""),
    "Refer": _words("action method"),
    "Enqueue": _words("action maxQueueSize method waitUrl waitUrlMethod workflowSid"),
    "Sms": _words("to from action method statusCallback"),
    "Start": _words("action method"),
    "Stop": _words(""),
    "Recording": _words(f"trim track channels {_RECORDING}"),
    "Siprec": _words("name connectorName track statusCallback statusCallbackMethod"),
    "Transcription": _words("name track statusCallbackUrl statusCallbackMethod languageCode"),
}

_FORKS = _words("Stream Recording Siprec Transcription")

CHILDREN: Mapping[str, frozenset[str]] = {
    "Response": _words("Connect Dial Gather Say Play Pause Record Redirect Reject Hangup Refer Enqueue Sms Start Stop"),
    "Connect": _words("Stream"),
    "Stream": _words("Parameter"),
    "Dial": _words("Number Sip Client Conference"),
    "Gather": _words("Say Play Pause"),
    "Refer": _words("Sip"),
    "Start": _FORKS,
    "Stop": _FORKS,
}
