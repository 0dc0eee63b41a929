"""What offhook.toml says of how long the books are kept ([retention]), in days; 0 is for ever."""

import msgspec

MOST_DAYS = 36_500


class RetentionDays(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Days that rows are kept, from the start of their call (business: from when it was written, or from the appointment)."""

    debug_days: int = 14
    """Raw protocol events: they serve to look into a fault of these days."""
    talk_days: int = 365
    """What was said and done: transcripts, tool calls, captures, outcomes, spans, responses."""
    calls_days: int = 1095
    """The calls themselves with their milestones, transfers and announcements; whatever is left of a call goes with it."""
    business_days: int = 0
    """Bookings and messages in our own tables."""


def check_retention(days: RetentionDays, where: str, faults: list[str]) -> RetentionDays:
    """What is wrong with a table is added to `faults`. where: the file's name."""
    for name in days.__struct_fields__:
        if not 0 <= (value := getattr(days, name)) <= MOST_DAYS:
            faults.append(f"{where}: retention.{name}: expected 0 (for ever) to {MOST_DAYS}, got {value}")
    if days.calls_days and not 0 < days.talk_days <= days.calls_days:
        faults.append(
            f"{where}: retention.talk_days: expected 1 to calls_days ({days.calls_days}), got {days.talk_days}: what was said goes "
            "with its call at the latest"
        )
    return days
