"""The hash of a key is PostgreSQL's: the numbers here come from a server's own hash functions."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import pytest

from trunkline.routing.keys.hashing import MAX_COLUMNS, RowHash
from trunkline.routing.keys.sharding import Value

DAYS_TO_LEAP_DAY = 8825  # 2024-02-29
MICROSECONDS = 768294489123456  # 2024-05-06 07:08:09.123456+00
VECTORS: list[tuple[str, Value, int]] = [
    ("int8", 0, 901916981443598768),
    ("int8", 1, 11274504255086170040),
    ("int8", 2, 16968177202474426746),
    ("int8", 42, 12669485132091644514),
    ("int8", -1, 288437243775528869),
    ("int8", 2147483647, 17701988066039669119),
    ("int8", 9223372036854775807, 10244051894435199606),
    ("text", "", 18051608080690800806),
    ("text", "hello", 2670230039693765524),
    ("text", "tenant_42", 15271536758071446380),
    ("text", "0123456789abc", 14442216475819065531),
    ("uuid", UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11").bytes, 5730022782425327056),
    ("date", DAYS_TO_LEAP_DAY, 16327159517450386663),
    ("timestamptz", MICROSECONDS, 18129359013409951),
    ("numeric", Decimal("1.50"), 6539556674739976950),
]


@pytest.mark.parametrize(("type", "value", "expected"), VECTORS)
def test_a_key_of_one_column_has_the_hash_that_postgresql_gives_it(type: str, value: Value, expected: int) -> None:
    assert RowHash((type,)).of((value,)) == expected


@pytest.mark.parametrize("type", ["int2", "int4"])
@pytest.mark.parametrize("value", [0, 1, -1, 32767, -32768])
def test_equal_integers_of_any_width_have_one_hash(type: str, value: int) -> None:
    assert RowHash((type,)).of((value,)) == RowHash(("int8",)).of((value,))


def test_several_columns_make_one_hash() -> None:
    assert RowHash(("int4", "text")).of((1, "a")) == 5168779851758693317


def test_a_null_takes_no_part() -> None:
    assert RowHash(("int4", "text")).of((None, "hello")) == RowHash(("text",)).of(("hello",))
    assert RowHash(("int4", "text")).of((None, None)) == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Decimal("1.50"), Decimal("1.5")),
        (Decimal("1E3"), Decimal("1000.00")),
        (Decimal("0"), Decimal("-0.000")),
        (Decimal("NaN"), Decimal("Infinity")),
    ],
)
def test_numbers_written_otherwise_have_one_hash(one: Decimal, other: Decimal) -> None:
    assert RowHash(("numeric",)).of((one,)) == RowHash(("numeric",)).of((other,))


def test_zeros_of_either_sign_are_one() -> None:
    assert RowHash(("float8",)).of((0.0,)) == RowHash(("float8",)).of((-0.0,))


@pytest.mark.parametrize("value", [1 << 63, "1", None.__class__])
def test_a_value_of_another_type_is_an_error_and_no_hash(value: Value) -> None:
    with pytest.raises((TypeError, OverflowError)):
        RowHash(("int8",)).of((value,))


def test_a_key_has_as_many_values_as_columns() -> None:
    with pytest.raises(ValueError, match="2 values for 1 columns"):
        RowHash(("int8",)).of((1, 2))


@pytest.mark.parametrize("count", [0, MAX_COLUMNS + 1])
def test_a_key_has_no_more_columns_than_postgresql_allows(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 32"):
        RowHash(("int8",) * count)
