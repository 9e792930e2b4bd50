"""Which expressions are constants, and as what they are compared."""

from __future__ import annotations

import pytest

from trunkline.routing.planning.constants import constant, family_of, fits
from trunkline.routing.plans.plan import Constant, Literal, Parameter, Source
from trunkline.routing.sql import only, parse_any


def read(expression: str) -> Source | None:
    text = f"SELECT {expression}".encode()
    return constant(*only(parse_any(text)[0][1]["targetList"][0]["ResTarget"]["val"]), text)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("5", Literal(7)),
        ("-5", Literal(7, negative=True)),
        ("- 0", Literal(7, negative=True)),
        ("'x'", Literal(7)),
        ("5::int8", Literal(7, "int8")),
        ("-5::int8", Literal(7, "int8", negative=True)),
        ("date '2024-01-01'", Literal(12, "date")),
        ("'{1}'::int4[]", Literal(7, "int4[]")),
        ("('{1}'::int4[])::bigint[]", Literal(8, "int4[]")),
        ("'x'::text::varchar", Literal(7, "text")),
        ("'{x}'::text[]::text", None),
        ("$2", Parameter(2)),
        ("$2::uuid", Parameter(2, "uuid")),
        ("NULL", Constant(None)),
        ("true", Constant("true", "bool")),
        ("- -5", None),
        ("-(-5::int8)", None),
        ("5::numeric(3,1)", None),
        ("'x'::text::uuid", None),
        ("'x'::other.type", None),
        ("now()", None),
        ("1 + 2", None),
        ("B'101'", None),
        ("a", None),
    ],
)
def test_an_expression_is_a_constant_or_not(expression: str, expected: Source | None) -> None:
    assert read(expression) == expected


def test_a_cast_must_be_of_the_columns_own_family() -> None:
    assert fits("int8", Literal(0, "int2"))
    assert fits("int8", Literal(0))
    assert not fits("int8", Literal(0, "numeric"))
    assert not fits(None, Literal(0))
    assert family_of("varchar") == family_of("text") != family_of("bpchar")
    assert family_of("jsonb") is None
