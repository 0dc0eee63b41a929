"""Days, times and moments, said on Monday, November 23, 2026 at nine in the morning."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.captures.captured import DateRule, LocalDate, LocalMoment, LocalTime
from app.errors import ToolError
from tests.captures.scene import CHICAGO, here, reading, value

PAST = DateRule(past=True)


@pytest.mark.parametrize(
    ("heard", "day"),
    [
        ("today", "2026-11-23"),
        ("tomorrow please", "2026-11-24"),
        ("the day after tomorrow", "2026-11-25"),
        ("Monday", "2026-11-30"),
        ("Tuesday", "2026-11-24"),
        ("on this Friday", "2026-11-27"),
        ("next Tuesday", "2026-12-01"),
        ("Tuesday next week", "2026-12-01"),
        ("next week Tuesday", "2026-12-01"),
        ("Tuesday week", "2026-12-01"),
        ("a week on Tuesday", "2026-12-01"),
        ("a week from Tuesday", "2026-12-01"),
        ("a week from tomorrow", "2026-12-01"),
        ("in three days", "2026-11-26"),
        ("in two weeks", "2026-12-07"),
        ("two weeks from today", "2026-12-07"),
        ("in a month", "2026-12-23"),
        ("in a fortnight", "2026-12-07"),
        ("the fifth", "2026-12-05"),
        ("the 24th", "2026-11-24"),
        ("the 31st", "2026-12-31"),
        ("the 5th of next month", "2026-12-05"),
        ("November twenty-fourth", "2026-11-24"),
        ("the twenty fourth of November twenty twenty six", "2026-11-24"),
        ("January first, two thousand and twenty seven", "2027-01-01"),
        ("Nov 24, 2026", "2026-11-24"),
        ("may 5th", "2027-05-05"),
        ("November 1st", "2027-11-01"),
        ("February 29", "2028-02-29"),
        ("Tuesday November 24th", "2026-11-24"),
        ("Friday the 27th", "2026-11-27"),
        ("11/24", "2026-11-24"),
        ("12/5/2026", "2026-12-05"),
        ("12/5/26", "2026-12-05"),
        ("24.12.2026", "2026-12-24"),
        ("2026-12-24", "2026-12-24"),
        ("11242026#", "2026-11-24"),
        ("1 1 2 4 2 0 2 6", "2026-11-24"),
        ("1 2 0 5 #", "2026-12-05"),
    ],
)
def test_a_day_is_found_in_the_calendar(heard: str, day: str) -> None:
    assert value(LocalDate, heard) == day
    assert value(LocalDate, day) == day
    assert value(LocalDate, reading(LocalDate, heard).aloud) == day


@pytest.mark.parametrize(
    ("heard", "says"),
    [
        ("yesterday", "in the past"),
        ("November 22, 2026", "in the past"),
        ("2026-11-22", "in the past"),
        ("February 30", "no such day"),
        ("2/29/2027", "no such day"),
        ("13/13/2027", "no such day"),
        ("Tuesday November 25th", "is not a Tuesday"),
        ("November", "no day"),
        ("next week", "no day"),
        ("sometime soon", "no day"),
        ("the 32nd", "no day"),
        ("99999999", "no such day"),
        ("3026-01-01", "too far"),
        ("in 999 years", "too far"),
        ("999 years from " * 9 + "now", "end of the calendar"),
        ("Tuesday Wednesday", "no day"),
        ("14:30", "no day"),
        ("november 24 " * 20, "no day"),
    ],
)
def test_a_day_that_cannot_be_is_refused_with_the_reason(heard: str, says: str) -> None:
    with pytest.raises(ToolError, match=says):
        reading(LocalDate, heard)


@pytest.mark.parametrize(
    ("country", "heard", "day"),
    [("US", "5/12/2026", "2027-05-12"), ("GB", "5/12/2026", "2026-12-05"), ("GB", "05122026#", "2026-12-05")],
)
def test_figures_are_read_in_the_order_of_the_country(country: str, heard: str, day: str) -> None:
    if country == "US":
        with pytest.raises(ToolError, match="in the past"):
            reading(LocalDate, heard, scene=here(country))
    else:
        assert value(LocalDate, heard, scene=here(country)) == day


@pytest.mark.parametrize(
    ("heard", "day"),
    [
        ("March 5th, 1985", "1985-03-05"),
        ("March fifth nineteen eighty five", "1985-03-05"),
        ("the third of june twenty oh five", "2005-06-03"),
        ("3/5/85", "1985-03-05"),
        ("3/5/68", "1968-03-05"),
        ("03051985#", "1985-03-05"),
        ("yesterday", "2026-11-22"),
    ],
)
def test_a_birthday_is_in_the_past(heard: str, day: str) -> None:
    assert value(LocalDate, heard, PAST) == day
    assert value(LocalDate, day, PAST) == day


@pytest.mark.parametrize(
    ("heard", "says"),
    [
        ("March 5th", "year is missing"),
        ("tomorrow", "cannot be right"),
        ("March 5, 2027", "cannot be right"),
        ("March 5, 1850", "cannot be right"),
    ],
)
def test_a_birthday_that_cannot_be_is_refused(heard: str, says: str) -> None:
    with pytest.raises(ToolError, match=says):
        reading(LocalDate, heard, PAST)


@given(st.dates(date(2026, 11, 23), date(2031, 11, 22)))
def test_every_day_to_come_is_the_same_said_written_and_typed(day: date) -> None:
    for heard in (
        f"{day:%A, %B} {day.day}, {day.year}",
        f"{day:%d %B %Y}",
        day.isoformat(),
        f"{day:%m/%d/%Y}",
        f"{day:%m%d%Y}#",
    ):
        assert value(LocalDate, heard) == day.isoformat()


@pytest.mark.parametrize(
    ("heard", "at"),
    [
        ("half past two", "14:30"),
        ("half two", "14:30"),
        ("quarter to nine in the morning", "08:45"),
        ("a quarter past four", "16:15"),
        ("ten to four", "15:50"),
        ("twenty past eight", "08:20"),
        ("five minutes to one", "12:55"),
        ("two thirty", "14:30"),
        ("two oh five", "14:05"),
        ("at two o'clock", "14:00"),
        ("2:30 pm", "14:30"),
        ("2:30 p.m.", "14:30"),
        ("2pm", "14:00"),
        ("7 in the evening", "19:00"),
        ("9 at night", "21:00"),
        ("2 at night", "02:00"),
        ("12 am", "00:00"),
        ("12 pm", "12:00"),
        ("noon", "12:00"),
        ("midnight", "00:00"),
        ("14:30", "14:30"),
        ("fourteen hundred hours", "14:00"),
        ("fourteen thirty", "14:30"),
        ("1430", "14:30"),
        ("1 4 3 0 #", "14:30"),
        ("0230#", "02:30"),
        ("9", "09:00"),
        ("6", "18:00"),
        ("14:30:00", "14:30"),
    ],
)
def test_a_time_is_read(heard: str, at: str) -> None:
    assert value(LocalTime, heard) == at
    assert value(LocalTime, at) == at
    assert value(LocalTime, reading(LocalTime, heard).aloud) == at


@pytest.mark.parametrize(
    "heard", ["25:00", "10:60", "24:01", "half past 30", "99 to 3", "soon", "2:3:4:5", "tomorrow", "9" * 30]
)
def test_what_is_no_time_is_refused(heard: str) -> None:
    with pytest.raises(ToolError, match="no time of day"):
        reading(LocalTime, heard)


@given(st.times())
def test_every_time_written_is_read_as_it_stands(at: object) -> None:
    written = f"{at:%H:%M}"
    if written[:2] not in ("10", "11", "12"):
        assert value(LocalTime, written) == written
    assert value(LocalTime, f"{at:%I:%M %p}") == written


@pytest.mark.parametrize(
    ("heard", "moment"),
    [
        ("tomorrow at half past two", "2026-11-24T14:30"),
        ("half past two tomorrow", "2026-11-24T14:30"),
        ("next Tuesday at 2:30 pm", "2026-12-01T14:30"),
        ("Monday at 8", "2026-11-30T08:00"),
        ("tomorrow morning at nine", "2026-11-24T09:00"),
        ("this afternoon at three", "2026-11-23T15:00"),
        ("tonight at eight", "2026-11-23T20:00"),
        ("at nine in the morning on Friday", "2026-11-27T09:00"),
        ("November 24 two thirty", "2026-11-24T14:30"),
        ("10:15 on the 5th of december", "2026-12-05T10:15"),
        ("Friday the 27th at ten", "2026-11-27T10:00"),
        ("the day after tomorrow, noon", "2026-11-25T12:00"),
        ("2026-11-24 14:30", "2026-11-24T14:30"),
        ("2026-11-24T14:30:00", "2026-11-24T14:30"),
        ("in two weeks at four", "2026-12-07T16:00"),
        ("today at nine", "2026-11-23T09:00"),
    ],
)
def test_a_moment_is_a_day_with_a_time(heard: str, moment: str) -> None:
    assert value(LocalMoment, heard) == moment
    assert value(LocalMoment, moment) == moment


@pytest.mark.parametrize(
    ("heard", "says"),
    [
        ("tomorrow", "time of day is missing"),
        ("at nine", "day is missing"),
        ("today at 8 am", "is past"),
        ("yesterday at 3", "in the past"),
        ("Tuesday November 25th at 3", "is not a Tuesday"),
        ("February 30 at noon", "no such day"),
        ("2026-11-31T14:30", "no such moment"),
        ("2026-11-22T14:30", "in the past"),
        ("2027-03-14T02:30", "put forward"),
        ("March 14 2027 at 2:30 am", "put forward"),
        ("whenever it suits", "no day with a time"),
        ("one " * 60, "many more words"),
    ],
)
def test_a_moment_that_cannot_be_is_refused_with_the_reason(heard: str, says: str) -> None:
    with pytest.raises(ToolError, match=says):
        reading(LocalMoment, heard)


def test_the_office_s_hours_tell_a_time_without_am_or_pm() -> None:
    late = here(now=datetime(2026, 11, 23, 16, 0, tzinfo=CHICAGO))
    assert value(LocalMoment, "tomorrow at eight", scene=late) == "2026-11-24T08:00"
    assert value(LocalMoment, "tomorrow at 5", scene=late) == "2026-11-24T17:00", "closed at both: as people mean it"
    assert value(LocalMoment, "tomorrow at 5 am", scene=late) == "2026-11-24T05:00"


@settings(max_examples=25)
@given(st.integers(0, 60 * 24 * 300))
def test_every_moment_to_come_is_the_same_read_back(minutes: int) -> None:
    moment = datetime(2026, 11, 23, 9, 0) + timedelta(minutes=minutes)
    if moment.date() == date(2027, 3, 14):  # the day that lacks an hour
        return
    assert value(LocalMoment, moment.isoformat()) == moment.isoformat(timespec="minutes")
    assert value(LocalMoment, reading(LocalMoment, moment.isoformat()).aloud) == moment.isoformat(timespec="minutes")
