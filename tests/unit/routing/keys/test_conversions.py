"""Between types: what is equal to a value of the target's type becomes that value. The pairs are PostgreSQL's in
`tests/integration/test_key_values.py`; here are the edges of each.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from trunkline.routing.keys.conversions import convert
from trunkline.routing.keys.sharding import KeyUnknown, Value


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (32767, "int8", "int2", 32767),
        (32768, "int8", "int2", 32767),
        (5, "int4", "numeric", Decimal(5)),
        (5, "int4", "text", "5"),
        (Decimal("5.5"), "numeric", "int4", 6),
        (Decimal("-5.5"), "numeric", "int4", -6),
        (Decimal("4.5"), "numeric", "int4", 5),
        (Decimal("NaN"), "numeric", "int2", 32767),
        (Decimal("-1e30"), "numeric", "int2", -32768),
        (Decimal("-Infinity"), "numeric", "int2", -32768),
        (4.5, "float8", "int4", 4),
        (5.5, "float8", "int4", 6),
        (1e10, "float8", "int2", 32767),
        (float("-inf"), "float8", "int2", -32768),
        (float("nan"), "float8", "int2", 32767),
        (Decimal("0.1"), "numeric", "float8", 0.1),
        (Decimal("0.1"), "numeric", "float4", 0.10000000149011612),
        (Decimal("-1e39"), "numeric", "float4", float("-inf")),
        (1e39, "float8", "float4", float("inf")),
        (0.5, "float4", "float8", 0.5),
        ("a ", "text", "bpchar", "a"),
        ("a ", "varchar", "text", "a "),
        (1, "date", "timestamp", 86_400_000_000),
        (-1, "timestamp", "date", -1),
        ((1 << 31) - 1, "date", "timestamp", (1 << 63) - 1),
        (-(1 << 63), "timestamp", "date", -(1 << 31)),
        (200_000_000, "date", "timestamp", 9223371331199999999),
    ],
)
def test_a_value_becomes_what_it_is_equal_to(value: Value, source: str, target: str, expected: Value) -> None:
    converted = convert(value, source, target)
    assert (converted, type(converted)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "source", "target"),
    [
        (float(1 << 53), "float8", "int8"),
        (float(1 << 24), "float4", "int4"),
        ((1 << 53) + 1, "int8", "float4"),
        (Decimal("1e400"), "numeric", "float8"),
        (1.5, "float8", "numeric"),
        (0, "timestamp", "timestamptz"),
        ("a", "bpchar", "text"),
        ("5", "text", "int4"),
        (b"", "bytea", "uuid"),
        ("a", "citext", "text"),
    ],
)
def test_what_has_several_equals_or_none_known_is_unknown(value: Value, source: str, target: str) -> None:
    with pytest.raises(KeyUnknown):
        convert(value, source, target)
