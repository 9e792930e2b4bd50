"""Numbers as C reads them; what is refused was tried on PgBouncer 1.18."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.config.address import BadValue
from trunkline.config.pgbouncer.numbers import leading, names, seconds, whole


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("010", 8), ("0x1F", 31), ("-5", -5), ("+7", 7), ("2", 2)])
def test_whole_numbers(text: str, value: int) -> None:
    assert whole(text) == value


@pytest.mark.parametrize("text", ["", "yes", "on", "1 ; c", "'1'", "1.5", "08", "0x", "1s", "9" * 65])
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(BadValue):
        whole(text)


@pytest.mark.parametrize(("text", "value"), [("1.5", 1.5), ("1e3", 1000), ("0x10", 16), (".5", 0.5), ("0", 0)])
def test_seconds(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5s", "-1", "1e999", "inf", "nan", "1 ; c", "1,5"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(BadValue):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", (12, True)), ("12abc", (12, False)), ("abc", (0, False)), ("-1", (-1, True)), ("", (0, False))],
)
def test_only_the_beginning_counts_in_a_connection_string(text: str, value: tuple[int, bool]) -> None:
    assert leading(text) == value


@pytest.mark.parametrize(("text", "listed"), [("a, b", "a, b"), ("a b", "a, b"), ("a,,b ,", "a, b"), ("", "")])
def test_commas_and_spaces_are_between_names(text: str, listed: str) -> None:
    assert names(text) == listed


@given(st.integers(-(2**62), 2**62))
def test_a_decimal_number_is_itself(number: int) -> None:
    assert whole(str(number)) == number
