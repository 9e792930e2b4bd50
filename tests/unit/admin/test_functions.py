"""Functions of the console's SELECT, as PostgreSQL answers them."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.admin.functions import FUNCTIONS, matches
from trunkline.admin.result import ConsoleError


@pytest.mark.parametrize(
    ("name", "arguments", "wanted"),
    [
        ("format_type", (25, -1), "text"), ("format_type", (1009, None), "text[]"), ("format_type", (0, -1), "-"),
        ("format_type", (99, -1), "???"), ("format_type", (None, None), None), ("quote_ident", ("pools",), "pools"),
        ("quote_ident", ('a"B',), '"a""B"'), ("string_to_array", ("a,b", ","), ("a", "b")),
        ("string_to_array", ("", ","), ()), ("array_to_string", ((1, None, 2), ","), "1,2"),
        ("array_upper", ((1, 2), 1), 2), ("array_upper", ((), 1), None), ("array_lower", ((1,), 2), None),
        ("current_setting", ("Search_Path",), "public"), ("substring", ("abc", 2), "bc"),
        ("substring", ("abc", -1), "abc"),
        ("replace", ("aab", "a", "x"), "xxb"), ("replace", ("aab", "", "x"), "aab"), ("btrim", (" a ",), "a"),
    ],
)  # fmt: skip
def test_functions_have_postgresqls_values(name: str, arguments: tuple[Any, ...], wanted: Any) -> None:
    assert FUNCTIONS[name, len(arguments)].call(*arguments) == wanted


def test_a_setting_that_is_none_is_an_error() -> None:
    with pytest.raises(ConsoleError, match="unrecognized configuration parameter"):
        FUNCTIONS["current_setting", 1].call("nothing")


def test_a_pattern_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(ConsoleError) as refusal:
        matches("a" * 60 + "b", "(a+)+$")
    assert refusal.value.sqlstate == "54001"
