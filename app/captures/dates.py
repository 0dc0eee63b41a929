"""Days as people say them: "next Tuesday", "the day after tomorrow", "November twenty-fourth", "11/24".

Written days go through python-dateutil; words that count from today are resolved here. "Tuesday" and "this Tuesday" are the next
one after today, "next Tuesday" is the one of next week (weeks begin on Monday). A day without its year is the next such day.
"""

import re
from datetime import date, datetime, timedelta

from dateutil.parser import ParserError, parse
from dateutil.relativedelta import relativedelta

from app.captures.calendar_words import day_aloud, plain
from app.captures.captured import DateRule, Reading, Scene
from app.captures.heard import fit_to_read, listed, shown
from app.errors import ToolError
from app.rules.office import WEEKDAYS

MONTH_FIRST = frozenset(("US", "PR", "GU", "VI", "PH"))
"""Countries where 11/5 is in November."""
YEARS_AHEAD = 5
OLDEST_YEARS = 130
MONTHS = frozenset(
    listed(
        "january february march april may june july august september october november december "
        "jan feb mar apr jun jul aug sep sept oct nov dec"
    )
)
DAY_NAMES = {name: at for at, full in enumerate(WEEKDAYS) for name in (full, full[:3], full[:4], full[:5])} | {
    "thurs": 3,
    "weds": 2,
}
NAMES = "|".join(sorted(DAY_NAMES, key=len, reverse=True))
FROM_TODAY = {
    "today": 0, "now": 0, "tomorrow": 1, "day after tomorrow": 2, "yesterday": -1, "day before yesterday": -2, "fortnight": 14,
}  # fmt: skip
STEP = re.compile(r"(?:in )?(a|an|\d{1,3}) (day|week|fortnight|month|year)s?(?: from (?:now|(.+)))?")
DAY_NAME = re.compile(rf"(?:(this|next|coming|following) )?({NAMES})(?: (week|next week|this week))?")


class When:
    """What "today" means for a day that is being read, and which days are right."""

    def __init__(self, scene: Scene, rule: object = None) -> None:
        self.today = scene.now.date()
        self.month_first = scene.office.country in MONTH_FIRST
        self.past = isinstance(rule, DateRule) and rule.past


def read_date(heard: str, rule: object, scene: Scene) -> Reading:
    """A day that is not past; or one that is, by the rule."""
    text = fit_to_read(heard)
    when = When(scene, rule)
    day = find_date(_keyed(text, when) or plain(text)[0], when)
    if day is None:
        raise ToolError(f"{shown(text)} is no day that can be found in a calendar")
    return Reading(day, day_aloud(day))


def _keyed(text: str, when: When) -> list[str]:
    """Digits of a keypad, with or without the year: "11242026#" as ["11/24/2026"] by the country's order."""
    digits = re.sub(r"[\s#]", "", text)
    if not re.fullmatch(r"\d{4}|\d{8}", digits):
        return []
    first, second, year = digits[:2], digits[2:4], digits[4:]
    month, day = (first, second) if when.month_first else (second, first)
    return [f"{year}-{month}-{day}" if year else f"{month}/{day}" if when.month_first else f"{day}/{month}"]


def find_date(words: list[str], when: When) -> date | None:
    """The day that plain words name, None if they name none. Raises ToolError for one that is impossible, past or too far."""
    text = re.sub(r"^on ", "", " ".join(words))
    day = _counted(text, when) or _named(text, when) or _written(text, when)
    return None if day is None else _allowed(day, when)


def _counted(text: str, when: When) -> date | None:
    """ "tomorrow", "in 3 days", "a week from tuesday"."""
    if text in FROM_TODAY:
        return when.today + timedelta(days=FROM_TODAY[text])
    if text == "after tomorrow":
        return when.today + timedelta(days=2)
    step = STEP.fullmatch(text)
    if step is None or not (step[3] or text.startswith("in ") or " from " in text):
        return None
    start = when.today if step[3] is None else _counted(step[3], when) or _named(step[3], when)
    count = int(step[1]) if step[1].isdigit() else 1
    if start is None:
        return None
    try:
        match step[2]:
            case "month":
                return start + relativedelta(months=count)
            case "year":
                return start + relativedelta(years=count)
        return start + timedelta(days=count * {"day": 1, "week": 7, "fortnight": 14}[step[2]])
    except (ValueError, OverflowError) as wrong:  # past the year 9999
        raise ToolError(f"{shown(text)} is behind the end of the calendar") from wrong


def _named(text: str, when: When) -> date | None:
    """ "tuesday", "next tuesday", "tuesday next week", "tuesday week", "next week tuesday"."""
    text = re.sub(
        r"^(?:a|(next|this)) week (\w+)$", lambda found: f"{found[2]} {found[1] or ''} week".replace("  ", " "), text
    )
    named = DAY_NAME.fullmatch(text)
    if named is None:
        return None
    which, name, week = named[1], DAY_NAMES[named[2]], named[3]
    monday = when.today - timedelta(days=when.today.weekday())
    if which in ("next", "following") or week == "next week":
        return monday + timedelta(days=7 + name)
    if week == "this week":
        return monday + timedelta(days=name)
    coming = when.today + timedelta(days=(name - when.today.weekday() - 1) % 7 + 1)
    return coming + timedelta(days=7) if week == "week" else coming


def _written(text: str, when: When) -> date | None:
    """ "november 24", "24 november 2026", "11/24", "2026-11-24", "24", each with or without a weekday, which must fit."""
    words = text.split()
    names = [word for word in words if word in DAY_NAMES]
    rest = [word for word in words if word not in DAY_NAMES]
    if len(names) > 1 or not rest:
        return None
    text = re.sub(r"\b(19|20) (\d\d)$", r"\1\2", " ".join(rest)) if len(rest) > 2 else " ".join(rest)
    text = re.sub(r"\b(19|20) 0 (\d)$", r"\g<1>0\2", text)
    day = (
        _day_of_month(text, when)
        if re.fullmatch(r"\d{1,2}|\d{1,2} next month|next month \d{1,2}", text)
        else _parsed(text, when)
    )
    if day is not None and names and day.weekday() != DAY_NAMES[names[0]]:
        raise ToolError(
            f"{day_aloud(day)} is not a {WEEKDAYS[DAY_NAMES[names[0]]].capitalize()}; ask which of both is meant"
        )
    return day


def _day_of_month(text: str, when: When) -> date | None:
    """The next day of that number, or the one of next month."""
    number = int(re.findall(r"\d+", text)[0])
    first = when.today.replace(day=1) + relativedelta(months=int("next" in text))
    for ahead in range(3):
        month = first + relativedelta(months=ahead)
        try:
            day = month.replace(day=number)
        except ValueError:
            continue
        if day >= when.today:
            return day
    return None


def _parsed(text: str, when: When) -> date | None:
    """By python-dateutil. It fills in what is missing from a day that it is given: two of them tell what was."""
    words = re.split(r"[\s/.-]+", text)
    if not 2 <= len(words) <= 3 or not all(word in MONTHS or re.fullmatch(r"\d{1,4}", word) for word in words):
        return None
    if sum(word in MONTHS for word in words) > 1 or (" " in text and not set(words) & MONTHS):
        return None
    iso = re.fullmatch(r"\d{4}-\d{1,2}-\d{1,2}", text)
    day_first = not iso and ("." in text or not when.month_first)
    try:
        found, other = (
            parse(text, default=default, dayfirst=day_first, yearfirst=bool(iso)).date()
            for default in (datetime(2000, 1, 1), datetime(2004, 2, 2))
        )
    except (ParserError, OverflowError, ValueError) as wrong:
        raise ToolError(f"there is no such day as {shown(text)}") from wrong
    if (found.month, found.day) != (other.month, other.day):
        return None
    if found.year == other.year:
        two_digits = not any(len(word) == 4 and word.isdigit() for word in words)
        return found + relativedelta(years=-100) if when.past and two_digits and found > when.today else found
    if when.past:
        raise ToolError("the year is missing")
    for year in range(when.today.year, when.today.year + 9):
        try:
            day = found.replace(year=year)
        except ValueError:  # February 29
            continue
        if day >= when.today:
            return day
    return None


def _allowed(day: date, when: When) -> date:
    if when.past:
        if day > when.today or day.year < when.today.year - OLDEST_YEARS:
            raise ToolError(f"{day_aloud(day)} cannot be right: expected a day in the past")
        return day
    if day < when.today:
        raise ToolError(f"{day_aloud(day)} is in the past; today is {day_aloud(when.today)}")
    if day > when.today + relativedelta(years=YEARS_AHEAD):
        raise ToolError(f"{day_aloud(day)} is too far away: expected a day within {YEARS_AHEAD} years")
    return day
