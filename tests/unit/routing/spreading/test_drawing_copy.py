"""COPY FROM STDIN whose rows get ids that are not in the data: its text, and what is known of its form."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.test_drawing import drawn
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.drawing_slots import Drawing, Slot


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("COPY orders (customer_id) FROM STDIN", 'COPY orders ("id", customer_id) FROM STDIN'),
        (
            "copy /* ( */ public . orders( total,customer_id ) from stdin where total > 1",
            'copy /* ( */ public . orders("id",  total,customer_id ) from stdin where total > 1',
        ),
    ],
)
def test_the_columns_of_the_ids_come_first(sql: str, text: str) -> None:
    found = drawn(sql)
    assert isinstance(found, Drawing)
    assert found.text(0).decode() == text
    assert found.copied is not None
    assert (found.slots, found.copied.slots) == ([], (Slot("nextval", '"public"."numbers"'),))


def test_the_form_of_its_data_is_known() -> None:
    found = drawn("COPY orders (customer_id) FROM STDIN (FORMAT csv, HEADER, DELIMITER '|', QUOTE '''')")
    assert isinstance(found, Drawing)
    assert found.copied is not None
    known = found.copied
    assert (known.form, known.header, known.delimiter, known.quote, known.escape) == ("csv", True, b"|", b"'", b"'")
    assert known.types == ("int8",)


@pytest.mark.parametrize(
    "sql",
    [
        "COPY customers (name) FROM STDIN WHERE id < currval('numbers')",
        "COPY orders (customer_id) FROM STDIN (DEFAULT 'x')",
        "COPY orders (customer_id) FROM STDIN (HEADER match)",
        "COPY orders (customer_id) FROM STDIN (NULL '-1')",
        "COPY orders (customer_id) FROM STDIN (FORMAT csv, DELIMITER '3')",
        "COPY orders (customer_id) FROM '/tmp/rows'",
    ],
)
def test_what_has_no_place_for_them_is_refused(sql: str) -> None:
    found = drawn(sql)
    assert isinstance(found, Refusal), found
    assert found.hint
