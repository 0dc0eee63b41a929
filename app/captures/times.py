"""Times as people say them, alone or with a day: "half past two", "quarter to nine in the morning", "tomorrow at 2:30 pm".

A time without am or pm is the one of the two in the office's hours of that day, if there is just one; else 7 to 11 are in the
morning, 12 is noon, and 1 to 6 are in the afternoon. It is read back with am or pm in any case.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import NamedTuple

from dateutil.tz import datetime_exists

from app.captures.calendar_words import day_aloud, plain, time_aloud
from app.captures.captured import Reading, Scene
from app.captures.dates import When, find_date
from app.captures.heard import fit_to_read, shown
from app.errors import ToolError
from app.rules.office import Office

LONGEST_WORDS = 24
HALF = re.compile(r"half (?:(past|after) )?(\d{1,2})(?: oclock)?")
QUARTER = re.compile(r"(?:a )?(?:quarter|(\d{1,2})(?: minutes?)?) (past|after|to|till|before) (\d{1,2})(?: oclock)?")
FIGURES = re.compile(r"(\d{1,2})(?:[:. ](\d{2})|[ :](?:0 )?(\d))?(?: (?:oclock|hours|hundred(?: hours)?))?")
WRITTEN = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::00)?")
KEYED = re.compile(r"(\d{1,2})(\d{2})(?: hours)?")


class Found(NamedTuple):
    """A time; half: it may be twelve hours later as well."""

    at: time
    half: bool


def read_time(heard: str, rule: object, scene: Scene) -> Reading:
    """A time of day."""
    text = fit_to_read(heard)
    keys = re.sub(r"[\s#]", "", text)
    words, part = plain(keys if keys.isdigit() else text)
    found = find_time(words, part, keyed=True)
    if found is None:
        raise ToolError(f"{shown(text)} is no time of day")
    at = _settled(found, None)
    return Reading(at, time_aloud(at))


def read_moment(heard: str, rule: object, scene: Scene) -> Reading:
    """A day and a time, not past, that the office's clock has."""
    text = fit_to_read(heard)
    words, part = plain(text)
    if len(words) > LONGEST_WORDS:
        raise ToolError("expected a day and a time, got many more words")
    when = When(scene)
    moment = _by_the_clock(text, when) if WRITTEN.fullmatch(text) else _one_moment(words, part, when, scene, text)
    if not datetime_exists(moment, scene.office.zone):
        raise ToolError(
            f"there is no {time_aloud(moment.time())} on {day_aloud(moment.date())}: the clocks are put forward then"
        )
    if moment < scene.now.replace(tzinfo=None):
        raise ToolError(f"{_moment_aloud(moment)} is past; it is {_moment_aloud(scene.now)} now")
    return Reading(moment, _moment_aloud(moment))


def _by_the_clock(text: str, when: When) -> datetime:
    """2026-11-24T14:30, which needs no guessing."""
    try:
        moment = datetime.fromisoformat(text).replace(second=0)
    except ValueError as wrong:
        raise ToolError(f"there is no such moment as {shown(text)}") from wrong
    find_date([text[:10]], when)
    return moment


def find_time(words: list[str], part: str = "", *, keyed: bool = False) -> Found | None:
    """The time that plain words name, None if they name none. keyed: "1430" is one."""
    text = re.sub(r"^(?:at|by|around) ", "", " ".join(words))
    half_day = re.search(r" ([ap]m)$", text)
    if half_day is not None:
        text, part = text[: half_day.start()], half_day[1]
    if text in ("noon", "midday", "12 noon", "midnight", "12 midnight"):
        return Found(time(0 if "midnight" in text else 12), half=False)
    figures = _figures(text, keyed)
    if figures is None:
        return None
    hour, minute, sure = figures
    if not (0 <= hour <= 24 and minute < 60) or (hour == 24 and minute):
        return None
    if part and 1 <= hour <= 12:
        later = part == "pm" or (part == "night" and 6 <= hour < 12)
        return Found(time(hour % 12 + 12 * later, minute), half=False)
    return Found(time(hour % 24, minute), half=not sure and 1 <= hour <= 12)


def _figures(text: str, keyed: bool) -> tuple[int, int, bool] | None:
    """Hour, minute, and whether the hour is sure to be one of 24."""
    if half := HALF.fullmatch(text):
        return int(half[2]), 30, False
    if quarter := QUARTER.fullmatch(text):
        minutes, hour = int(quarter[1] or 15), int(quarter[3])
        if minutes >= 60:
            return None
        if quarter[2] in ("past", "after"):
            return hour, minutes, False
        return (hour - 1 if hour > 1 else 12, (60 - minutes) % 60, False) if minutes else (hour, 0, False)
    if keyed and (keys := KEYED.fullmatch(text)):
        return int(keys[1]), int(keys[2]), keys[1].startswith("0")
    text = re.sub(r"(?<=\d:\d\d):00$", "", text)
    if figures := FIGURES.fullmatch(text):
        minute = int(figures[2] or figures[3] or 0)
        return int(figures[1]), minute, figures[1].startswith("0") or "h" in text.replace("hundred", "h")
    return None


def _settled(found: Found, hours: tuple[time, time] | None) -> time:
    """Which of two half days is meant; hours: the office's on that day."""
    if not found.half:
        return found.at
    hour, minute = found.at.hour % 12, found.at.minute
    morning, afternoon = time(hour, minute), time(hour + 12, minute)
    if hours is not None:
        inside = [at for at in (morning, afternoon) if hours[0] <= at < hours[1]]
        if len(inside) == 1:
            return inside[0]
    return morning if 7 <= hour <= 11 else afternoon


def _one_moment(words: list[str], part: str, when: When, scene: Scene, text: str) -> datetime:
    """The one way to cut the words into a day and a time. Raises ToolError if there is none, or more than one."""
    moments: list[datetime] = []
    faults: list[ToolError] = []
    times = 0
    for day_words, time_words in _cuts(words):
        found = find_time(time_words, part)
        if found is None:
            continue
        times += 1
        try:
            day = find_date(day_words, when)
        except ToolError as wrong:
            faults.append(wrong)
            continue
        if day is not None:
            moment = datetime.combine(day, _settled(found, _hours(scene.office, day)))
            if time_words[0] == "at":
                return moment
            if moment not in moments:
                moments.append(moment)
    if len(moments) == 1:
        return moments[0]
    if moments:
        raise ToolError(
            f"{shown(text)} can be read in {len(moments)} ways; ask for the day and the time one after the other"
        )
    if faults:
        raise faults[0]
    if find_time(words, part, keyed=True) is not None:
        raise ToolError("the day is missing")
    if find_date(words, when) is not None:
        raise ToolError("the time of day is missing")
    raise ToolError(f"{shown(text)} is no day with a time")


def _cuts(words: list[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Day before time, and time before day; those at the word "at" first."""
    places = sorted(range(1, len(words)), key=lambda at: words[at] != "at")
    for at in places:
        yield words[:at], words[at:]
    for at in places:
        yield words[at:], words[:at]


def _hours(office: Office, day: date) -> tuple[time, time] | None:
    hours = office.hours_on(day)
    return None if hours is None else (hours.opens, hours.closes)


def _moment_aloud(moment: datetime) -> str:
    return f"{day_aloud(moment.date())} at {time_aloud(moment.time())}"
