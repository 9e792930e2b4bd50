"""Names and strings in SQL of our own."""

from __future__ import annotations

from trunkline.routing.spreading.quoting import full, identifier, literal


def test_a_name_is_quoted_whatever_is_in_it() -> None:
    assert identifier('a"b') == '"a""b"'
    assert full("public", "Orders") == '"public"."Orders"'


def test_a_string_means_the_same_with_and_without_standard_conforming_strings() -> None:
    assert literal("it's") == "'it''s'"
    assert literal("a\\'b") == "E'a\\\\''b'"
