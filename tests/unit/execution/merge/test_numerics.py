"""Numerics as PostgreSQL computes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.execution.merge.numerics import NAN, Numeric, add, divided, from_binary, to_binary, to_text, variance

NUMBERS = st.builds(Numeric, st.integers(-(10**40), 10**40), st.integers(0, 40))

# As PostgreSQL 15 and 18 send them (numeric_send).
BINARY = {
    "0": "0000000000000000",
    "1": "00010000000000000001",
    "-1.50": "000200004000000200011388",
    "10000": "00010001000000000001",
    "0.0001": "0001ffff000000040001",
    "123456.789": "0003000100000003000c0d801ed2",
    "0.00": "0000000000000002",
    "NaN": "00000000c0000000",
}


def number(text: str) -> Numeric:
    if text == "NaN":
        return NAN
    whole, _, fraction = text.partition(".")
    return Numeric(int(whole + fraction), len(fraction))


@pytest.mark.parametrize("text", BINARY)
def test_binary_is_postgresqls(text: str) -> None:
    assert to_binary(number(text)).hex() == BINARY[text]
    assert to_text(from_binary(bytes.fromhex(BINARY[text]))).decode() == text


@given(NUMBERS)
def test_a_number_comes_back_from_both_forms(one: Numeric) -> None:
    assert from_binary(to_binary(one)) == one
    assert number(to_text(one).decode()).digits == one.digits


@given(NUMBERS, NUMBERS)
def test_a_sum_has_the_scale_of_the_longer(one: Numeric, other: Numeric) -> None:
    total = add(one, other)
    assert total.scale == max(one.scale, other.scale)
    assert total.digits == one.digits * 10 ** (total.scale - one.scale) + other.digits * 10 ** (
        total.scale - other.scale
    )


def test_infinities_of_both_signs_are_no_number() -> None:
    above, below = Numeric(special="Infinity"), Numeric(special="-Infinity")
    assert add(above, Numeric(1)) == above
    assert add(above, below) == add(NAN, above) == NAN


# SELECT a / b, as PostgreSQL 15 and 18 say.
QUOTIENTS = {
    ("1", "3"): "0.33333333333333333333",
    ("10", "3"): "3.3333333333333333",
    ("2", "3"): "0.66666666666666666667",
    ("-2", "3"): "-0.66666666666666666667",
    ("100000", "3"): "33333.333333333333",
    ("1.50", "2"): "0.75000000000000000000",
    ("0", "7"): "0.00000000000000000000",
    ("12345678901234567890", "7"): "1763668414462081127",
    ("0.00000000000000000000001", "3"): "0.0000000000000000000000033333333333333333",
}


@pytest.mark.parametrize("pair", QUOTIENTS)
def test_a_quotient_has_postgresqls_digits(pair: tuple[str, str]) -> None:
    assert to_text(divided(number(pair[0]), number(pair[1]))).decode() == QUOTIENTS[pair]


def test_a_deviation_of_too_few_values_is_null() -> None:
    assert variance(Numeric(1), Numeric(1), 1, sample=True, root=False) is None
    assert variance(Numeric(1), Numeric(1), 0, sample=False, root=True) is None
    assert variance(Numeric(1), Numeric(1), 1, sample=False, root=True) == Numeric()
    assert variance(NAN, NAN, 3, sample=True, root=True) == NAN


def test_deviations_have_postgresqls_digits() -> None:
    total, squares = Numeric(10), Numeric(30)  # of 1, 2, 3, 4
    expected = {
        (True, False): "1.6666666666666667",
        (False, False): "1.2500000000000000",
        (True, True): "1.2909944487358056",
        (False, True): "1.1180339887498948",
    }
    for (sample, root), text in expected.items():
        found = variance(total, squares, 4, sample=sample, root=root)
        assert found is not None
        assert to_text(found).decode() == text


@pytest.mark.parametrize("value", [b"", bytes(7), bytes(9), b"\0\1" + bytes(6)])
def test_what_is_no_numeric_is_an_error(value: bytes) -> None:
    with pytest.raises(ValueError, match="numeric"):
        from_binary(value)
