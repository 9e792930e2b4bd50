"""How a column of a query's rows is carried."""

from __future__ import annotations

from trunkline.execution.spread.selected import Carrier, carrier_of


def test_what_is_the_same_everywhere_is_binary_and_other_types_are_texts() -> None:
    assert carrier_of([b"23", b"int4", b"1007", b"b", b"integer", b"integer[]"]) == Carrier(1, 23, 1007)
    mood = carrier_of([b"16400", b"mood", b"16401", b"e", b"mood", b"mood[]"])
    assert mood == Carrier(0, 0, 0, "::mood[]")
    assert carrier_of([b"1007", b"_int4", None, b"b", b"integer[]", None]) == Carrier(0, 0, 1009, "", "::integer[]")


def test_what_depends_on_settings_or_has_numbers_of_its_own_is_not_carried() -> None:
    assert carrier_of([b"1182", b"_date", None, b"b", b"date[]", None]) is None
    assert carrier_of([b"16500", b"pair", b"16499", b"c", b"pair", b"pair[]"]) is None
    assert carrier_of([b"2205", b"regclass", b"2210", b"b", b"regclass", b"regclass[]"]) is None
