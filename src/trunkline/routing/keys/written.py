"""Values of keys in a form that PostgreSQL reads as the same value, whatever the settings of its session are.

Days are counted as PostgreSQL counts them itself (Julian days): no calendar of ours has all of its years.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from trunkline.routing.keys.sharding import Value
from trunkline.routing.keys.time_forms import (
    DATE_INFINITY,
    DATE_MINUS_INFINITY,
    TIMESTAMP_INFINITY,
    TIMESTAMP_MINUS_INFINITY,
)

_FIRST_DAY = 2451545  # 2000-01-01
_DAY_US = 86_400_000_000
_SECOND_US = 1_000_000


def to_text(value: Value, type: str) -> str:
    """A value of a type without its modifier."""
    return _WRITERS.get(type, str)(value)


def _date(days: int) -> str:
    if days in (DATE_INFINITY, DATE_MINUS_INFINITY):
        return "infinity" if days > 0 else "-infinity"
    return f"J{days + _FIRST_DAY}"


def _timestamp(time_us: int) -> str:
    if time_us in (TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY):
        return "infinity" if time_us > 0 else "-infinity"
    days, rest_us = divmod(time_us, _DAY_US)
    minutes, part_us = divmod(rest_us, 60 * _SECOND_US)
    seconds, micros = divmod(part_us, _SECOND_US)
    return f"J{days + _FIRST_DAY} {minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{micros:06}"


_WRITERS: Mapping[str, Callable[[Any], str]] = {
    "uuid": lambda value: str(UUID(bytes=value)),
    "bytea": lambda value: f"\\x{value.hex()}",
    "date": _date,
    "timestamp": _timestamp,
    "timestamptz": lambda value: _timestamp(value) + ("" if abs(value) >= TIMESTAMP_INFINITY else "+00"),
}
