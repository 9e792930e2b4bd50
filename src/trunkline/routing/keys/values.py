"""The values of keys: from what a client wrote to what is hashed and compared, as PostgreSQL would coerce it.

A value is read as the type that it was given (`source`, a type's name in pg_type; empty where it takes the column's)
and then brought to the column's type. That is what PostgreSQL does when it stores a value; a comparison is often made
in a wider type instead. One answer serves both:

1. What is equal to a value of the column's type is brought to that value. What is not (5.5 for an int4) may become any
   value, for wherever the comparison is made, it finds nothing: it is rounded as if it were stored, and so found again.
2. What the column's type has no place for becomes the last value on that side. PostgreSQL finds nothing by it either,
   or refuses to store it, on any shard.
3. Both keep the order, so bounds of a range may be brought to the column's type too.

Types may have modifiers (`varchar(3)`, `numeric(10,2)`, `timestamp(0)`), by which PostgreSQL silently changes what it
stores. Every text is taken for UTF-8: who has another client_encoding must know what he passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Any

from trunkline.routing.keys import binary_forms, text_forms
from trunkline.routing.keys.conversions import convert
from trunkline.routing.keys.sharding import KeyUnknown, Value
from trunkline.routing.keys.time_forms import TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY

_EXACT = Context(prec=10 * text_forms.MAX_NUMERIC_DIGITS)  # room for whatever is read and scaled
_SECOND_DIGITS = 6

_Readers = Mapping[str, Callable[[bytes], Value]]


def from_text(data: bytes, type: str, source: str = "") -> Value:
    """Of a constant in quotes, or a parameter in text format."""
    return _read(text_forms.READERS, data, type, source)


def from_binary(data: bytes, type: str, source: str = "") -> Value:
    """Of a parameter in binary format."""
    return _read(binary_forms.READERS, data, type, source)


def from_number(data: bytes, type: str, source: str = "", *, negative: bool = False) -> Value:
    """Of a number that stands in the text without quotes, perhaps cast to `source`."""
    value, natural = _number(data, negative)
    if source:
        value, natural = convert(value, natural, source), source
    return _stored(convert(value, natural, base_of(type)), type)


def base_of(type: str) -> str:
    """A type without its modifier."""
    return type if type[-1:] != ")" else type[: type.index("(")]


def order_of(type: str) -> Callable[[Any], Any]:
    """What values of a type are ordered and told apart by. NaN is equal to itself and above all others."""
    return _float_order if base_of(type) in ("float4", "float8", "numeric") else _own_order


def _own_order(value: Value) -> Value:
    return value


def _float_order(value: float | Decimal) -> tuple[bool, float | Decimal]:
    is_nan = value != value
    return is_nan, 0 if is_nan else value


def _read(readers: _Readers, data: bytes, type: str, source: str) -> Value:
    base = base_of(type)
    reader = readers.get(source or base)
    if reader is None:
        raise KeyUnknown(f"of type {source or base}")
    value = reader(data)
    return _stored(convert(value, source, base) if source else value, type)


def _number(data: bytes, negative: bool) -> tuple[Value, str]:
    """A number and its type, as far as it matters which of the integers it is (make_const in parse_node.c)."""
    low, high = text_forms.INTEGER_LIMITS["int8"]
    try:
        number = -int(data) if negative else int(data)
    except ValueError:
        digits = text_forms.read_numeric(data)
        return (digits.copy_negate() if negative else digits), "numeric"
    return (number, "int8") if low <= number <= high else (Decimal(number), "numeric")


def _stored(value: Value, type: str) -> Value:
    """What a column of a type with a modifier keeps of it; too long a value as it is, which it refuses."""
    return value if type[-1:] != ")" else _keeper(type)(value)


@lru_cache(maxsize=1000)
def _keeper(type: str) -> Callable[[Any], Value]:
    base = base_of(type)
    modifiers = [int(number) for number in type[len(base) + 1 : -1].split(",")]
    return _KEEPERS[base](*modifiers)


def _keep_varchar(length: int) -> Callable[[str], str]:
    def keep(text: str) -> str:
        return text[:length] if not text[length:].strip(" ") else text

    return keep


def _keep_bpchar(length: int) -> Callable[[str], str]:
    return lambda text: text  # blanks behind it are gone already


def _keep_numeric(precision: int, scale: int = 0) -> Callable[[Decimal], Decimal]:
    unit = Decimal((0, (1,), -scale))

    def keep(value: Decimal) -> Decimal:
        return value.quantize(unit, ROUND_HALF_UP, _EXACT) if value.is_finite() else value

    return keep


def _keep_timestamp(digits: int) -> Callable[[int], int]:
    """Rounded half away from 2000-01-01 (AdjustTimestampForTypmod)."""
    unit: int = 10 ** (_SECOND_DIGITS - digits)

    def keep(value: int) -> int:
        if value in (TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY):
            return value
        rounded = (abs(value) + unit // 2) // unit * unit
        return rounded if value >= 0 else -rounded

    return keep


_KEEPERS: Mapping[str, Callable[..., Callable[[Any], Value]]] = {
    "varchar": _keep_varchar,
    "bpchar": _keep_bpchar,
    "numeric": _keep_numeric,
    "timestamp": _keep_timestamp,
    "timestamptz": _keep_timestamp,
}
