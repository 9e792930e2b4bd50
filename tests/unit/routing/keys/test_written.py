"""Values of keys as texts; that PostgreSQL reads them as the same values is tests/integration/test_directories.py's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.routing.keys.sharding import Value
from trunkline.routing.keys.values import from_text
from trunkline.routing.keys.written import to_text


@pytest.mark.parametrize(
    ("type", "text", "written"),
    [
        ("int8", "-5", "-5"),
        ("text", "it's", "it's"),
        ("bool", "t", "True"),
        ("uuid", "A0EEBC999C0B4EF8BB6D6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("bytea", "\\x00FF", "\\x00ff"),
        ("numeric", "1.50", "1.50"),
        ("numeric", "NaN", "NaN"),
        ("date", "2000-01-01", "J2451545"),
        ("date", "1999-12-31", "J2451544"),
        ("date", "infinity", "infinity"),
        ("date", "-infinity", "-infinity"),
        ("timestamp", "1999-12-31 23:59:59.999999", "J2451544 23:59:59.999999"),
        ("timestamp", "-infinity", "-infinity"),
        ("timestamptz", "2000-01-01 01:02:03+01", "J2451545 00:02:03.000000+00"),
        ("timestamptz", "infinity", "infinity"),
    ],
)
def test_values_are_written_so_that_no_setting_changes_what_they_mean(type: str, text: str, written: str) -> None:
    assert to_text(from_text(text.encode(), type), type) == written


VALUES = {
    "int8": st.integers(-(1 << 63), (1 << 63) - 1),
    "bool": st.booleans(),
    "uuid": st.binary(min_size=16, max_size=16),
    "bytea": st.binary(),
    "numeric": st.decimals(allow_nan=False, allow_infinity=False),
}


@given(st.one_of(*[st.tuples(st.just(type), values) for type, values in VALUES.items()]))
def test_what_is_written_is_read_as_the_same_value(example: tuple[str, Value]) -> None:
    type, value = example
    assert from_text(to_text(value, type).encode(), type) == value
