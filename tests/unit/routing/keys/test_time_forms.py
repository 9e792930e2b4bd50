"""Dates and timestamps in ISO form, as the numbers that PostgreSQL stores; Python's calendar is the judge of days."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible
from trunkline.routing.keys.time_forms import (
    DATE_INFINITY,
    DATE_LIMITS,
    TIMESTAMP_LIMITS,
    TIMESTAMP_MINUS_INFINITY,
    read_date,
    read_timestamp,
    read_timestamptz,
)

EPOCH = datetime.datetime(2000, 1, 1)


@given(st.dates())
def test_a_date_is_a_number_of_days(date: datetime.date) -> None:
    assert read_date(date.isoformat().encode()) == (date - EPOCH.date()).days


@given(st.datetimes())
def test_a_timestamp_is_a_number_of_microseconds(time: datetime.datetime) -> None:
    for separator in " T":
        assert read_timestamp(time.isoformat(separator).encode()) == (time - EPOCH) // datetime.timedelta(0, 0, 1)


@given(st.datetimes(), st.integers(-15 * 60, 15 * 60))
def test_an_offset_leads_to_utc(time: datetime.datetime, minutes: int) -> None:
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    local = read_timestamp(time.isoformat().encode())
    assert read_timestamptz((time.isoformat() + zone).encode()) == local - minutes * 60_000_000
    assert read_timestamp((time.isoformat() + zone).encode()) == local


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("4714-11-24 BC", DATE_LIMITS[0]),
        ("0001-12-31 BC", -730120),
        ("0001-01-01", -730119),
        ("5874897-12-31", DATE_LIMITS[1] - 1),
        ("infinity", DATE_INFINITY),
        (" 2024-05-06 23:59 ", 8892),
    ],
)
def test_dates_of_all_times_are_read(text: str, days: int) -> None:
    assert read_date(text.encode()) == days


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("4714-11-24 00:00:00+00 BC", TIMESTAMP_LIMITS[0]),
        ("294276-12-31 23:59:59.999999Z", TIMESTAMP_LIMITS[1] - 1),
        ("-infinity", TIMESTAMP_MINUS_INFINITY),
    ],
)
def test_times_of_all_times_are_read(text: str, microseconds: int) -> None:
    assert read_timestamptz(text.encode()) == microseconds


@pytest.mark.parametrize(
    "text",
    [
        *["2023-02-29", "1900-02-29", "0001-02-29", "2024-13-01", "2024-01-00", "0000-01-01"],
        *["4714-11-23 BC", "5874898-01-01"],
    ],
)
def test_a_day_that_never_was_is_not_coercible(text: str) -> None:
    with pytest.raises(NotCoercible):
        read_date(text.encode())


@pytest.mark.parametrize("text", ["4714-11-23 23:59:59+00 BC", "294277-01-01 00:00:00+00"])
def test_a_time_out_of_range_is_not_coercible(text: str) -> None:
    with pytest.raises(NotCoercible):
        read_timestamptz(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        *[
            "today",
            "now",
            "epoch",
            "01/02/2024",
            "2024-1-2",
            "20240102",
            "24-01-02",
            "2 Jan 2024",
            "2024-01-02 24:00:00",
        ],
        *[
            "2024-01-02 23:59:60",
            "2024-01-02 00:00:00 CET",
            "2024-01-02 00:00:00+16",
            "2024-01-02 00:00:00.1234567",
            "",
        ],
        *["٢٠٢٤-01-02", "2024-01-02 00:00:00"],
    ],
)
def test_what_a_setting_decides_is_unknown(text: str) -> None:
    with pytest.raises(KeyUnknown):
        read_timestamptz(text.encode())


def test_a_date_with_a_zone_is_unknown() -> None:
    with pytest.raises(KeyUnknown):
        read_date(b"2024-01-01 00:00+02")
