"""LIKE: PostgreSQL's answers, and no pattern that takes long."""

from __future__ import annotations

import pytest

from trunkline.admin.patterns import like
from trunkline.admin.result import ConsoleError


@pytest.mark.parametrize(
    ("text", "pattern", "matches"),
    [
        ("shop", "shop", True), ("shop", "sho", False), ("shop", "s%", True), ("shop", "%o_", True),
        ("shop", "____", True), ("shop", "___", False), ("", "%", True), ("", "_", False), ("", "", True),
        ("a%b", r"a\%b", True), ("axb", r"a\%b", False), ("abcabd", "%abd", True), ("aab", "%ab", True),
        ("a\nb", "a_b", True), ("SHOP", "shop", False), ("a.c", "a.c", True), ("abc", "a.c", False),
    ],
)  # fmt: skip
def test_a_pattern_matches_as_in_postgresql(text: str, pattern: str, matches: bool) -> None:
    assert like(text, pattern) is matches


def test_case_can_be_left_out() -> None:
    assert like("SHOP", "s%P", fold=True)


def test_no_pattern_takes_long() -> None:
    assert not like("a" * 1000, "%a" * 500 + "b")


def test_an_escape_needs_a_character() -> None:
    with pytest.raises(ConsoleError) as refusal:
        like("a", "a\\")
    assert refusal.value.sqlstate == "22025"
