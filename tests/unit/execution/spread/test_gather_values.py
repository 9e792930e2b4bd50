"""Values of parameters as constants."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from trunkline.execution.spread.gather_values import value_writer
from trunkline.routing.spreading.gathering_filters import Given

INT4, TEXT, DATE, UUID, POINT = 23, 25, 1082, 2950, 600


@dataclass
class Call:
    formats: tuple[int, ...]
    values: tuple[bytes | None, ...]


def constant(value: bytes | None, type: int, format: int = 0, cast: str = "") -> str | None:
    return value_writer(Call((format,), (value,)), (type,))(Given(1, cast))


@pytest.mark.parametrize(
    "value, type, format, written",
    [
        (b"5", INT4, 0, "'5'::pg_catalog.int4"),
        (b"\0\0\0\x05", INT4, 1, "'5'::pg_catalog.int4"),
        (b"it's", TEXT, 0, "'it''s'::pg_catalog.text"),
        (b"a\\b", TEXT, 1, "E'a\\\\b'::pg_catalog.text"),
        (None, TEXT, 0, "NULL::pg_catalog.text"),
        (b"2000-01-02", DATE, 0, "'J2451546'::pg_catalog.date"),
        (bytes(16), UUID, 1, "'00000000-0000-0000-0000-000000000000'::pg_catalog.uuid"),
    ],
)
def test_a_value_is_written_so_that_it_means_the_same_in_any_session(
    value: bytes | None, type: int, format: int, written: str
) -> None:
    assert constant(value, type, format) == written


def test_a_cast_of_the_statement_stays() -> None:
    assert constant(b"5", INT4, cast="int8") == "'5'::pg_catalog.int4::pg_catalog.int8"


@pytest.mark.parametrize("value, type", [(b"five", INT4), (b"(1,2)", POINT), (b"x" * 20_000, TEXT), (b"today", DATE)])
def test_what_cannot_be_read_here_is_not_said(value: bytes, type: int) -> None:
    assert constant(value, type) is None


def test_a_number_that_is_no_parameter_is_not_said() -> None:
    assert value_writer(Call((), ()), ())(Given(1)) is None
