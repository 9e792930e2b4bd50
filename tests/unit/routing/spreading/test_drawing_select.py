"""Where ids are written into INSERT ... SELECT."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.test_drawing import drawn
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.drawing_select import width_of
from trunkline.routing.spreading.drawing_slots import Drawing
from trunkline.routing.sql import parse_any


@pytest.mark.parametrize(
    ("sql", "text", "count"),
    [
        (
            "INSERT INTO orders (customer_id) SELECT o.customer_id FROM ONLY (orders) o"
            " WHERE customer_id = $1 RETURNING id",
            'INSERT INTO orders (customer_id, "id") SELECT o.customer_id , [$2] FROM ONLY (orders) o'
            " WHERE customer_id = $1 RETURNING id",
            "SELECT o.customer_id FROM ONLY (orders) o WHERE customer_id = $1 ",
        ),
        (
            "INSERT INTO orders (customer_id, total) SELECT o.customer_id, 5 FROM orders o JOIN customers c"
            " ON o.customer_id = c.id GROUP BY 1 ON CONFLICT DO NOTHING",
            'INSERT INTO orders (customer_id, total, "id") SELECT o.customer_id, 5 , [$1] FROM orders o'
            " JOIN customers c ON o.customer_id = c.id GROUP BY 1 ON CONFLICT DO NOTHING",
            "SELECT o.customer_id, 5 FROM orders o JOIN customers c ON o.customer_id = c.id GROUP BY 1 ",
        ),
    ],
)
def test_a_row_takes_the_id_of_its_number(sql: str, text: str, count: str) -> None:
    found = drawn(sql)
    assert isinstance(found, Drawing), found
    said = found.text(found.parameters).decode()
    begin, end = said.index("CASE"), said.index("END") + 3
    number = found.parameters + 1
    assert said[:begin] + f"[${number}]" + said[end:] == text
    assert found.count.decode() == f"SELECT pg_catalog.count(*) FROM ({count}) AS counted"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 'x' FROM orders ORDER BY id",
        "SELECT $1 FROM orders LIMIT 1",
        "SELECT DISTINCT NULL FROM orders",
        "(SELECT customer_id FROM orders) UNION SELECT 5",
        "SELECT customer_id FROM orders FOR UPDATE",
        "WITH o AS (SELECT 5 AS n) SELECT n FROM o ORDER BY n",
        "SELECT o.* FROM orders o",
        "SELECT customer_id FROM orders WHERE random() < 0.5",
        "SELECT customer_id, several() FROM orders",
        "(SELECT customer_id FROM orders)",
        "SELECT customer_id FROM (SELECT customer_id FROM orders) o",
    ],
)
def test_rows_that_cannot_be_numbered_are_refused(query: str) -> None:
    columns = "customer_id, total" if "several" in query else "customer_id"
    assert isinstance(drawn(f"INSERT INTO orders ({columns}) {query}"), Refusal)


def test_the_width_of_a_star_is_not_known() -> None:
    for sql, width in (("SELECT 1, a FROM t", 2), ("SELECT t.*, 1 FROM t", None)):
        assert width_of(parse_any(sql.encode())[0][1]) == width


@pytest.mark.parametrize(
    "query",
    [
        "SELECT customer_id FROM orders ORDER BY id",
        "SELECT customer_id + $1 FROM orders LIMIT 1",
        "SELECT DISTINCT customer_id FROM orders",
        "SELECT customer_id FROM orders UNION SELECT 5",
    ],
)
def test_what_is_sorted_or_limited_is_numbered_from_outside(query: str) -> None:
    found = drawn(f"INSERT INTO orders (customer_id) {query} ON CONFLICT DO NOTHING")
    assert isinstance(found, Drawing), found
    said = found.text(found.parameters).decode()
    begin, end = said.index("CASE"), said.index("END") + 3
    head = 'INSERT INTO orders (customer_id, "id") SELECT numbered.*, '
    assert said[:begin] + said[end:] == f"{head} FROM ({query} ) AS numbered ON CONFLICT DO NOTHING"
    assert found.count.decode() == f"SELECT pg_catalog.count(*) FROM ({query} ) AS counted"


def test_a_query_of_its_own_statements_is_refused() -> None:
    sql = "WITH o AS (SELECT 5 AS n) INSERT INTO orders (customer_id) SELECT customer_id FROM orders, o"
    assert isinstance(drawn(sql), Refusal)
