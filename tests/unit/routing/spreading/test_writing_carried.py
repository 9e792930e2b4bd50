"""Writes that need rows of other shards: what is carried, where it stands in the text, and what is refused."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.planned_writes import planned
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.writing_carried import Carried, Slot


def carried(sql: str) -> Carried:
    found = planned(sql)
    assert isinstance(found, Carried), found
    return found


def text_of(found: Carried) -> str:
    """With the names of the tables in place of their rows."""
    names = [".".join(table.name) for table in found.tables]
    return "".join(
        f"<{names[one.place]}>" if isinstance(one, Slot) else one.decode() if isinstance(one, bytes) else "<time>"
        for one in found.text
    )


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        (
            "DELETE FROM orders USING customers c WHERE c.name = status",
            "DELETE FROM orders USING <public.customers> c WHERE c.name = status",
        ),
        (
            "DELETE FROM orders WHERE customer_id IN (SELECT id FROM customers LIMIT 10)",
            "DELETE FROM orders WHERE customer_id IN (SELECT id FROM <public.customers> AS \"customers\" LIMIT 10)",
        ),
        (
            "UPDATE orders SET day = now() FROM public.logs WHERE logs.id = orders.id RETURNING *",
            "UPDATE orders SET day = <time> FROM <public.logs> AS \"logs\" WHERE logs.id = orders.id RETURNING *",
        ),
        (
            "WITH w AS (SELECT id FROM logs) DELETE FROM orders WHERE id IN (SELECT id FROM w)",
            "WITH w AS (SELECT id FROM <public.logs> AS \"logs\") DELETE FROM orders WHERE id IN (SELECT id FROM w)",
        ),
        (
            "UPDATE logs SET msg = 'x' FROM orders o, logs m WHERE o.id = logs.id AND m.id = o.id",
            "UPDATE logs SET msg = 'x' FROM <public.orders> o, logs m WHERE o.id = logs.id AND m.id = o.id",
        ),
        (
            "UPDATE orders SET (status, day) = (SELECT name, now() FROM customers c WHERE c.name = status)",
            "UPDATE orders SET (status, day) = (SELECT name, <time> FROM <public.customers> c WHERE c.name = status)",
        ),
        ("DELETE FROM countries USING orders WHERE status = code",
         "DELETE FROM countries USING <public.orders> AS \"orders\" WHERE status = code"),
    ],
)  # fmt: skip
def test_rows_stand_where_their_tables_stood(sql: str, text: str) -> None:
    assert text_of(carried(sql)) == text


def test_only_what_is_needed_is_carried() -> None:
    (table,) = carried("DELETE FROM orders USING customers c WHERE c.name = status AND c.region = 'x'").tables
    assert [column.name for column in table.columns] == ["name", "region"]
    assert table.filter is not None
    (table,) = carried("DELETE FROM orders USING customers c WHERE c.name = status RETURNING *").tables
    assert len(table.columns) == 3


def test_all_copies_of_a_reference_table_are_written() -> None:
    found = carried("DELETE FROM countries WHERE code IN (SELECT status FROM orders)")
    assert (found.copies, found.writers, found.every) == (True, (), 0b111)
    found = carried("DELETE FROM logs WHERE id IN (SELECT id FROM orders)")
    assert (found.copies, found.writers, found.every) == (False, (), 0b001)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM orders USING ONLY customers c WHERE c.name = status",
        "DELETE FROM orders WHERE status IN (SELECT name FROM customers ORDER BY random() LIMIT 1)",
        "DELETE FROM orders WHERE status IN (SELECT c.name FROM customers c, countries LIMIT 1)",
        "DELETE FROM orders WHERE id IN (SELECT public.customers.id FROM public.customers WHERE region = 'x')",
        "DELETE FROM orders WHERE id IN (TABLE vip)",
        "DELETE FROM orders USING customers c WHERE c.ctid = orders.ctid AND c.name = status",
        "UPDATE countries SET name = c.name FROM customers c",
        "UPDATE orders SET id = DEFAULT FROM customers c WHERE c.name = status",
        "WITH w AS (DELETE FROM items) DELETE FROM orders USING customers c WHERE c.name = status",
        "UPDATE payments SET amount = 1 FROM orders WHERE total = amount",
    ],
)
def test_what_would_mean_something_else_is_refused(sql: str) -> None:
    assert isinstance(planned(sql), Refusal)
