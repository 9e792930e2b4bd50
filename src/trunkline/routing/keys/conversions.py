"""From values of one type to those of another: see the rules in `routing.keys.values`, which these keep.

Pairs that are not in the table are PostgreSQL's business: it refuses most of them; others depend on a setting, or are
compared in a type in which several values of the column's are equal to one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from math import copysign, inf, isfinite
from typing import Any

from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible, Value
from trunkline.routing.keys.text_forms import INTEGER_LIMITS, float4_from_text, single
from trunkline.routing.keys.time_forms import (
    DATE_INFINITY,
    DATE_MINUS_INFINITY,
    DAY_US,
    TIMESTAMP_INFINITY,
    TIMESTAMP_LIMITS,
    TIMESTAMP_MINUS_INFINITY,
)

# Integers below these are told apart by their floats.
FLOAT_DIGITS: Mapping[str, int] = {"float4": 1 << 24, "float8": 1 << 53}
_TO_TIMESTAMP = {DATE_INFINITY: TIMESTAMP_INFINITY, DATE_MINUS_INFINITY: TIMESTAMP_MINUS_INFINITY}
_TO_DATE = {timestamp: date for date, timestamp in _TO_TIMESTAMP.items()}

Conversion = Callable[[Any], Value]


def convert(value: Value, source: str, target: str) -> Value:
    """Between types without modifiers; what is beyond the target's type becomes the last value on its side."""
    if source == target:
        return value
    conversion = _CONVERSIONS.get((source, target))
    if conversion is None:
        raise KeyUnknown(f"a value of type {source} for one of type {target}")
    return conversion(value)


def _to_integer(target: str) -> Conversion:
    low, high = INTEGER_LIMITS[target]
    return lambda value: min(max(value, low), high)


def _numeric_to_integer(target: str) -> Conversion:
    low, high = INTEGER_LIMITS[target]

    def convert_numeric(value: Decimal) -> int:
        if not value.is_finite():
            return low if value == -inf else high  # NaN is above all
        rounded = int(value.to_integral_value(ROUND_HALF_UP))  # half away from zero, as numeric's rounding is
        return min(max(rounded, low), high)

    return convert_numeric


def _float_to_integer(source: str, target: str) -> Conversion:
    low, high = INTEGER_LIMITS[target]

    def convert_float(value: float) -> int:
        if not isfinite(value):
            return low if value < 0 else high  # NaN is above all
        if abs(value) >= FLOAT_DIGITS[source]:
            raise KeyUnknown("several integers are equal to so large a float")
        return min(max(round(value), low), high)  # half to even, as rint() does

    return convert_float


def _integer_to_float4(value: int) -> float:
    if abs(value) >= FLOAT_DIGITS["float8"]:
        raise KeyUnknown("rounded twice")
    return single(float(value))


def _numeric_to_float8(value: Decimal) -> float:
    converted = float(value)
    if value.is_finite() and (not isfinite(converted) or (value and not converted)):
        raise KeyUnknown("out of range for a float8")
    return converted


def _numeric_to_float4(value: Decimal) -> float:
    converted = _numeric_to_float8(value)
    if not isfinite(converted):
        return converted
    try:
        return float4_from_text(str(value), converted)
    except NotCoercible:
        return _float8_to_float4(converted)


def _float8_to_float4(value: float) -> float:
    try:
        return single(value)
    except OverflowError:
        return copysign(inf, value)


def _date_to_timestamp(days: int) -> int:
    if days in _TO_TIMESTAMP:
        return _TO_TIMESTAMP[days]
    return min(days * DAY_US, TIMESTAMP_LIMITS[1] - 1)


def _timestamp_to_date(microseconds: int) -> int:
    return _TO_DATE.get(microseconds, microseconds // DAY_US)


def _same(value: Value) -> Value:
    return value


def _without_blanks(text: str) -> str:
    return text.rstrip(" ")


_TEXTS = ("text", "varchar")

_CONVERSIONS: Mapping[tuple[str, str], Conversion] = {
    **{(source, target): _to_integer(target) for source in INTEGER_LIMITS for target in INTEGER_LIMITS},
    **{(source, "numeric"): Decimal for source in INTEGER_LIMITS},
    **{(source, "float4"): _integer_to_float4 for source in INTEGER_LIMITS},
    **{(source, "float8"): float for source in INTEGER_LIMITS},
    **{(source, target): str for source in INTEGER_LIMITS for target in (*_TEXTS, "bpchar")},
    **{("numeric", target): _numeric_to_integer(target) for target in INTEGER_LIMITS},
    ("numeric", "float4"): _numeric_to_float4,
    ("numeric", "float8"): _numeric_to_float8,
    **{(source, target): _float_to_integer(source, target) for source in FLOAT_DIGITS for target in INTEGER_LIMITS},
    ("float4", "float8"): _same,
    ("float8", "float4"): _float8_to_float4,
    **{(source, target): _same for source in _TEXTS for target in _TEXTS},
    **{(source, "bpchar"): _without_blanks for source in _TEXTS},
    ("date", "timestamp"): _date_to_timestamp,
    ("timestamp", "date"): _timestamp_to_date,
}
