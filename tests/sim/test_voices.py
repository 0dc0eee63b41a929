import subprocess
import sys
import tomllib
from itertools import pairwise, product
from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SetupError
from app.sim import phrases
from app.sim.loudness import VOICED, VoiceActivity, loudness
from app.sim.phrases import Word
from app.sim.voices import FRAME_BYTES, SILENT_FRAME, SPEAKERS, UnknownPhrase, can_say, core, say

SIM = Path(phrases.__file__).parent
CALLERS = SPEAKERS[1:]
SPELLED = ", ".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
HOURS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
TIMES = [f"{hour} {minutes}" for hour in HOURS for minutes in ("o'clock", "fifteen", "thirty", "forty-five")]


def frames(audio: bytes) -> list[bytes]:
    return [audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES)]


def quiet_runs(audio: bytes) -> list[int]:
    """Frames between one voiced frame and the next, wherever that is more than none."""
    voiced = [at for at, frame in enumerate(frames(audio)) if loudness(frame) >= VOICED]
    return [after - before - 1 for before, after in pairwise(voiced) if after - before > 1]


def scripts() -> list[Path]:
    return sorted((SIM / "scripts").glob("*.toml"))


@pytest.mark.parametrize("path", scripts(), ids=lambda path: path.stem)
def test_every_sentence_of_the_scripts_is_recorded_for_any_day_time_and_name(path: Path) -> None:
    slot = {"weekday": "", "time": "", "spell": ""}
    env = jinja2.Environment(undefined=jinja2.ChainableUndefined, autoescape=False)
    env.filters |= {name: lambda _, name=name: slot[name] for name in slot}
    script = tomllib.loads(path.read_text(encoding="utf-8"))
    lines = [
        (speaker, env.from_string(turn[part]))
        for turn in script.get("turn", [])
        for part, speaker in (("caller", script["caller"]["voice"]), ("preamble", "agent"), ("agent", "agent"))
        if part in turn
    ]
    assert lines or script["outbound"]["result"] in ("busy", "no-answer"), "nobody talks only where nobody picks up"
    said = set()
    half_hours = [time for time in TIMES if time.endswith(("o'clock", "thirty"))]
    for slot["weekday"], slot["time"], slot["spell"] in product(WEEKDAYS, half_hours, ("B, A, K, E, R", SPELLED)):
        said |= {(speaker, line.render(script.get("vars", {}))) for speaker, line in lines}
    assert [(speaker, text) for speaker, text in sorted(said) if not can_say(text, speaker)] == []


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_the_recordings_are_those_of_the_list(speaker: str) -> None:
    rows = [line.split("\t") for line in (SIM / f"clips/{speaker}.tsv").read_text(encoding="utf-8").splitlines()]
    assert [phrase for _, _, phrase in rows] == list(phrases.phrases_of(speaker))
    at = 0
    for start, size, phrase in rows:
        assert (int(start), int(size) % FRAME_BYTES) == (at, 0), phrase
        at += int(size)
    assert at == (SIM / f"clips/{speaker}.ulaw").stat().st_size


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_every_recording_is_heard_as_one_turn(speaker: str) -> None:
    for text in phrases.phrases_of(speaker).values():
        activity = VoiceActivity(silence_ms=500)
        changes = [activity.feed(frame) for frame in frames(say(text, speaker)) + [SILENT_FRAME] * 25]
        assert [change for change in changes if change] == ["started", "stopped"], text


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_every_recording_has_the_level_of_a_telephone_and_does_not_clip(speaker: str) -> None:
    for text in phrases.phrases_of(speaker).values():
        audio = say(text, speaker)
        assert max(loudness(bytes([byte])) for byte in set(audio)) < 32000, text
        voiced = [loudness(frame) for frame in frames(audio) if loudness(frame) >= VOICED]
        assert 1000 < sum(voiced) / len(voiced) < 3500, text
        assert len(audio) - len(core(audio)) <= 14 * FRAME_BYTES, text


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_no_pause_between_any_two_recordings_sounds_like_the_end_of_a_turn(speaker: str) -> None:
    texts = list(phrases.phrases_of(speaker))
    for first, second in zip(texts, texts[7:] + texts[:7], strict=True):
        for mark in ("", ",", "."):
            assert max(quiet_runs(say(f"{first}{mark} {second}", speaker)), default=0) < 20, (first, mark, second)


def test_the_clips_are_small_enough_for_a_checkout() -> None:
    assert sum(path.stat().st_size for path in SIM.glob("clips/*")) < 5_000_000


def test_the_same_text_gives_the_same_bytes_whatever_its_case_and_inner_marks() -> None:
    audio = say("Thank you for calling. Goodbye.")
    assert say("Thank you for calling. Goodbye.") == audio
    assert say("thank you, for calling! GOODBYE") == audio
    assert len(audio) % FRAME_BYTES == 0


def test_a_longer_recording_is_taken_before_the_shorter_ones_it_could_be_made_of() -> None:
    assert core(say("billing")) not in say("I will put you through to billing.")
    assert core(say("reception")) in say("I will put you through to reception.")
    assert core(say("ten")) not in say("ten thirty")
    assert core(say("ten", "anna")) in say("ten thirty", "anna")


def test_a_slot_is_filled_with_its_own_recording() -> None:
    audio = say("On Tuesday I have ten thirty. Shall I book that for you?")
    for part in ("On Tuesday I have", "ten thirty", "Shall I book that for you?"):
        assert core(say(part)) in audio
    assert core(say("ten o'clock")) not in audio


def test_a_full_stop_is_a_longer_pause_than_a_comma_and_a_comma_than_none() -> None:
    lengths = [len(say(text, "anna")) for text in ("B A", "B, A", "B. A")]
    assert lengths == sorted(set(lengths))


@pytest.mark.parametrize("speaker", SPEAKERS)
def test_names_can_be_spelled_and_dates_and_times_composed(speaker: str) -> None:
    month_days = ("first", "twentieth", "twenty-first", "twenty-ninth", "thirtieth", "thirty-first")
    texts = [SPELLED, *TIMES, *(f"on {day}, the {date} of May" for day in WEEKDAYS for date in month_days)]
    assert [text for text in texts if not can_say(text, speaker)] == []


@pytest.mark.parametrize(
    "text",
    [
        "Good afternoon. How can I help you?",
        "I am sorry, I did not catch that. Could you say that again please?",
        "I am sorry, that did not work.",
        "One moment please.",
        "Are you still there?",
        "Thank you for calling. Goodbye.",
        "I am sorry, we have run out of time. Goodbye.",
        "You pressed 1, 0, star.",
        "Of course. I have ten fifteen or three forty-five on Friday.",
        "We are open Monday to Friday, from eight o'clock to five o'clock.",
    ],
)
def test_the_agent_has_what_a_stand_in_needs(text: str) -> None:
    assert can_say(text)


@pytest.mark.parametrize("speaker", CALLERS)
@pytest.mark.parametrize(
    "text",
    [
        "Hi. My name is Carter. C, A, R, T, E, R.",
        "I would like to cancel my appointment on Monday at nine thirty please.",
        "I would like to leave a message.",
        "Sorry, I think I have the wrong number. Goodbye.",
        "No, I changed my mind. What about tomorrow in the afternoon?",
        "You can reach me at 4, 1, 5, 5, 5, 5, 0, 1, 3, 3.",
        "Can I speak to a person please?",
    ],
)
def test_callers_have_what_further_rehearsals_need(speaker: str, text: str) -> None:
    assert can_say(text, speaker)


def test_every_speaker_sounds_different_saying_the_same() -> None:
    said = {say("Could you say that again please? Are you still there?", speaker) for speaker in SPEAKERS}
    assert len(said) == len(SPEAKERS)


def test_the_voices_differ_in_pitch() -> None:
    text = "Could you say that again please? Are you still there?"
    hertz = {speaker: pitch(say(text, speaker)) for speaker in SPEAKERS}
    assert hertz["ben"] < 95 < hertz["agent"] < 120 < hertz["carl"] < 160 < hertz["anna"] < 260


def pitch(audio: bytes) -> float:
    """The middle of the frames' pitches in Hz, each the lag of the best autocorrelation over 40 ms."""
    linear = [loudness(bytes([byte])) * (1 if byte & 0x80 else -1) for byte in audio]
    found = []
    for at in range(0, len(linear) - 480, 320):
        window = linear[at : at + 480]
        if sum(map(abs, window)) / 480 < 2000:
            continue
        scores = {
            lag: sum(a * b for a, b in zip(window[:320], window[lag : lag + 320], strict=False))
            for lag in range(26, 134)
        }
        # The shortest lag that comes near the best: twice the period fits as well as the period.
        best = max(scores.values())
        peaks = [lag for lag in range(27, 133) if scores[lag - 1] < scores[lag] >= scores[lag + 1]]
        found.append(8000 / next((lag for lag in peaks if scores[lag] > 0.85 * best), 134))
    return sorted(found)[len(found) // 2]


def test_unknown_words_are_named_with_recorded_phrases_near_them() -> None:
    with pytest.raises(UnknownPhrase) as caught:
        say("I would like to buy a zebra please.", "ben")
    message = str(caught.value)
    assert "ben cannot say 'I would like to buy a zebra please.'" in message
    assert "nobody recorded 'buy', 'zebra'" in message
    assert not can_say("I would like to buy a zebra please.", "ben")
    with pytest.raises(UnknownPhrase, match="nobody recorded 'moments'; recorded and near: 'one moment please'"):
        say("One moments.")


@pytest.mark.parametrize("text", ["", " ", "?!"])
def test_a_text_without_words_is_refused(text: str) -> None:
    assert not can_say(text)
    with pytest.raises(UnknownPhrase, match="no words to say"):
        say(text)


def test_an_unknown_speaker_is_refused_by_name() -> None:
    with pytest.raises(SetupError, match="no speaker 'dora'; the voices are agent, anna, ben, carl"):
        say("Hello.", "dora")


def test_the_core_is_the_same_however_much_silence_stands_around_it() -> None:
    audio = say("Yes, that is right.", "carl")
    heard = core(audio)
    assert heard in audio
    assert core(SILENT_FRAME * 9 + audio + b"\x7f" * 800) == heard
    assert loudness(heard[:FRAME_BYTES]) >= VOICED
    assert loudness(heard[-FRAME_BYTES:]) >= VOICED
    assert core(SILENT_FRAME * 50) == core(b"") == b""


def test_texts_are_split_into_words_with_the_mark_behind_each() -> None:
    assert phrases.split("Hi, it’s 7 p.m. Forty-five - yes? “No.”") == [
        Word("hi", ","),
        Word("it's", ""),
        Word("seven", ""),
        Word("p", ""),
        Word("m", "."),
        Word("forty", ""),
        Word("five", ","),
        Word("yes", "."),
        Word("no", "."),
    ]


@given(
    st.lists(st.sampled_from(sorted(phrases.phrases_of("anna"))), min_size=1, max_size=12), st.sampled_from(", ;.?!")
)
def test_any_row_of_recorded_phrases_can_be_said(row: list[str], mark: str) -> None:
    text = f"{mark} ".join(row)
    audio = say(text, "anna")
    assert audio
    assert len(audio) % FRAME_BYTES == 0
    assert audio == say(text.upper(), "anna")


@given(st.text(max_size=60))
def test_any_text_is_said_or_refused_as_announced(text: str) -> None:
    if can_say(text):
        assert say(text)
    else:
        with pytest.raises(UnknownPhrase):
            say(text)


def test_importing_the_voices_reads_no_recording() -> None:
    check = "import sys; opened = []; sys.addaudithook(lambda name, args: opened.append(str(args[0])) if name == 'open' else None)"
    check += "; import app.sim.voices; assert opened; print([path for path in opened if 'clips' in path])"
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, cwd=SIM.parent.parent, check=True
    )
    assert done.stdout.strip() == "[]"
