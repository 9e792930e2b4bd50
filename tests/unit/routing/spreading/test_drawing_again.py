"""Ids in a text that differs in its literals from one for which their places are known."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.test_drawing import drawn
from trunkline.routing.spreading.drawing_again import Pattern, pattern_of, place_in
from trunkline.routing.spreading.drawing_slots import Drawing


def pattern(sql: str) -> Pattern:
    drawing = drawn(sql)
    assert isinstance(drawing, Drawing)
    found = pattern_of(sql.encode(), drawing)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("sql", "again"),
    [
        ("INSERT INTO orders (customer_id) VALUES (5)", "insert  into orders(customer_id)values(50000)"),
        ("INSERT INTO orders (customer_id) VALUES (5), (6)", "INSERT INTO orders (customer_id) VALUES (77) /*(*/ ,(8)"),
        ("INSERT INTO orders VALUES (DEFAULT, 5)", "INSERT INTO orders VALUES (\n default -- DEFAULT\n, 612)"),
        ("INSERT INTO orders VALUES (nextval('numbers'), 5)", "INSERT INTO orders VALUES (NEXTVAL( 'numbers' ),66)"),
        ("INSERT INTO orders (customer_id) VALUES ($1)", "INSERT INTO orders (customer_id) VALUES($1)"),
        ("SELECT nextval('numbers') + 1", "SELECT nextval('numbers')+ 17"),
    ],
)  # fmt: skip
def test_they_stand_where_a_look_at_the_text_itself_would_put_them(sql: str, again: str) -> None:
    found, wanted = pattern(sql).drawing(again.encode()), drawn(again)
    assert found is not None
    assert isinstance(wanted, Drawing)
    assert found.slots == wanted.slots
    texts = [" ".join(one.text(one.parameters).decode().split()) for one in (found, wanted)]
    assert texts[0] == texts[1]


def test_another_sequence_is_another_drawing() -> None:
    known = pattern("INSERT INTO orders VALUES (nextval('numbers'), 5)")
    assert known.drawing(b"INSERT INTO orders VALUES (nextval('public.\"Odd\"'), 5)") is None


def test_a_text_with_literals_that_its_plan_depends_on_has_no_pattern() -> None:
    sql = "INSERT INTO orders VALUES (nextval('numbers'), 5)"
    drawing = drawn(sql)
    assert isinstance(drawing, Drawing)
    assert pattern_of(sql.encode(), drawing, [sql.index("'numbers'")]) is not None
    assert pattern_of(sql.encode(), drawing, [sql.index("5")]) is None


@pytest.mark.parametrize(
    "sql",
    ["INSERT INTO orders (customer_id) VALUES (5) RETURNING oops", "INSERT INTO orders VALUES (DEFAULT, 5, 'é', oops)"],
)
def test_an_error_is_where_it_is_in_the_clients_own_text(sql: str) -> None:
    drawing = drawn(sql)
    assert isinstance(drawing, Drawing)
    said = drawing.text(drawing.parameters).decode()
    assert place_in(sql.encode(), drawing, drawing.parameters, said.index("oops") + 1) == sql.index("oops") + 1


def test_an_error_at_an_id_is_where_that_would_stand() -> None:
    sql = "INSERT INTO orders (id, customer_id) VALUES (nextval('numbers'), 5)"
    drawing = drawn(sql)
    assert isinstance(drawing, Drawing)
    said = drawing.text(0).decode()
    assert place_in(sql.encode(), drawing, 0, said.index("$1") + 1) == sql.index("nextval") + 1
