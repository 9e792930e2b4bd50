"""Dates and timestamps in ISO 8601, the forms that mean one thing under every DateStyle and TimeZone.

They become the numbers that PostgreSQL stores and hashes: days, and microseconds, since 2000-01-01. Whatever else
PostgreSQL would read (names of months and zones, `today`, two-digit years) is `KeyUnknown`, and so is what it refuses.
"""

from __future__ import annotations

import re

from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible

DATE_INFINITY, DATE_MINUS_INFINITY = (1 << 31) - 1, -(1 << 31)
TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY = (1 << 63) - 1, -(1 << 63)
DAY_US = 86_400_000_000
# The first that is allowed, and the first that is no more (datatype/timestamp.h).
DATE_LIMITS = (-2451545, 2147483494 - 2451545)
TIMESTAMP_LIMITS = (-211813488000000000, 9223371331200000000)

_ISO = re.compile(
    r"\s*(?P<year>[0-9]{4,7})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"(?:[ T](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,6}))?)?"
    r"(?P<zone>Z| ?[+-][0-9]{2}(?::?[0-9]{2}(?::[0-9]{2})?)?)?)?"
    r"(?P<bc> BC)?\s*",
    re.ASCII,
)
_INFINITIES = {"infinity": 1, "-infinity": -1}
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EPOCH_DAY = 730425  # 2000-01-01, counted as `_days` counts


def read_date(data: bytes) -> int:
    """Days; a time behind the date is dropped."""
    text = _text(data)
    if sign := _infinity(text):
        return DATE_INFINITY if sign > 0 else DATE_MINUS_INFINITY
    found = _iso(text)
    if found["zone"]:
        raise KeyUnknown("a date with a zone")
    _time_us(found)
    return check_date(_date(found))


def read_timestamp(data: bytes) -> int:
    """Microseconds; a zone is read and dropped."""
    text = _text(data)
    if sign := _infinity(text):
        return TIMESTAMP_INFINITY if sign > 0 else TIMESTAMP_MINUS_INFINITY
    found = _iso(text)
    _offset_us(found["zone"] or "Z")
    return check_timestamp(_date(found) * DAY_US + _time_us(found))


def read_timestamptz(data: bytes) -> int:
    """Microseconds in UTC; without an offset the session's zone decides."""
    text = _text(data)
    if sign := _infinity(text):
        return TIMESTAMP_INFINITY if sign > 0 else TIMESTAMP_MINUS_INFINITY
    found = _iso(text)
    if not found["zone"]:
        raise KeyUnknown("a time without a zone")
    return check_timestamp(_date(found) * DAY_US + _time_us(found) - _offset_us(found["zone"]))


def check_date(days: int) -> int:
    if not DATE_LIMITS[0] <= days < DATE_LIMITS[1]:
        raise NotCoercible("out of range for a date")
    return days


def check_timestamp(microseconds: int) -> int:
    if not TIMESTAMP_LIMITS[0] <= microseconds < TIMESTAMP_LIMITS[1]:
        raise NotCoercible("out of range for a timestamp")
    return microseconds


def _text(data: bytes) -> str:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise KeyUnknown("not ASCII") from None


def _infinity(text: str) -> int:
    return _INFINITIES.get(text.lower(), 0)


def _iso(text: str) -> re.Match[str]:
    found = _ISO.fullmatch(text)
    if found is None:
        raise KeyUnknown("not ISO 8601")
    return found


def _date(found: re.Match[str]) -> int:
    year, month, day = int(found["year"]), int(found["month"]), int(found["day"])
    if year == 0 or not 1 <= month <= 12 or not 1 <= day <= _MONTH_DAYS[month - 1]:
        raise NotCoercible("no such day")
    if found["bc"]:
        year = 1 - year
    if (month, day) == (2, 29) and (year % 4 or (year % 100 == 0 and year % 400)):
        raise NotCoercible("no such day")
    return _days(year, month, day) - _EPOCH_DAY


def _days(year: int, month: int, day: int) -> int:
    """Days since the first of March of the year 0 in the Gregorian calendar, in which years begin with March."""
    year -= month < 3
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * ((month + 9) % 12) + 2) // 5 + day - 1


def _time_us(found: re.Match[str]) -> int:
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    if hour > 23 or minute > 59 or second > 59:
        raise KeyUnknown("a time at the edge of its day")
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + int((found["fraction"] or "").ljust(6, "0"))


def _offset_us(zone: str) -> int:
    if zone == "Z":
        return 0
    sign, digits = zone.strip()[0], re.sub("[^0-9]", "", zone)
    hours, minutes, seconds = (int(digits[at : at + 2] or 0) for at in (0, 2, 4))
    if hours > 15 or minutes > 59 or seconds > 59:
        raise KeyUnknown("no such offset")
    offset = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000
    return -offset if sign == "-" else offset
