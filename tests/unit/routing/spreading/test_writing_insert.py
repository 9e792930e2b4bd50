"""INSERT of rows for several shards: what each shard gets."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.planned_writes import planned
from trunkline.routing.plans.call import Call
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.moments import filled
from trunkline.routing.spreading.writing_insert import Rows


def rows_of(sql: str) -> tuple[str, list[str], str]:
    found = planned(sql)
    assert isinstance(found, Rows), found
    head, tail = (filled(one, b"T").decode() for one in (found.head, found.tail))
    return head, [filled(row.text, b"T").decode() for row in found.rows], tail


@pytest.mark.parametrize(
    ("sql", "head", "rows", "tail"),
    [
        ("INSERT INTO customers VALUES (1), (2)", "INSERT INTO customers VALUES ", ["(1)", "(2)"], ""),
        (
            "INSERT INTO customers (id) VALUES ($1),( /* ), */ $2 ) RETURNING *",
            "INSERT INTO customers (id) VALUES ",
            ["($1)", "($2)"],
            " RETURNING *",
        ),
        (
            "INSERT INTO customers AS c (id, name) OVERRIDING USER VALUE VALUES (1, (ARRAY['x', ')'])[1]), (2, f(3, 4))"
            " ON CONFLICT (id) DO NOTHING;",
            "INSERT INTO customers AS c (id, name) OVERRIDING USER VALUE VALUES ",
            ["(1, (ARRAY['x', ')'])[1])", "(2, f(3, 4))"],
            " ON CONFLICT (id) DO NOTHING;",
        ),
        (
            "INSERT INTO customers VALUES (1, now()::text), (2, CURRENT_TIMESTAMP(3)::text)",
            "INSERT INTO customers VALUES ",
            ["(1, (timestamptz 'T')::text)", "(2, (timestamptz 'T'::pg_catalog.timestamptz(3))::text)"],
            "",
        ),
    ],
)  # fmt: skip
def test_rows_are_cut_from_the_text(sql: str, head: str, rows: list[str], tail: str) -> None:
    assert rows_of(sql) == (head, rows, tail)


def test_rows_whose_return_may_be_left_out_are_inserted_in_turn() -> None:
    for ending, in_turn in (("", False), (" RETURNING id", False)):
        found = planned("INSERT INTO customers VALUES (1, 'x'), (2, '')" + ending)
        assert isinstance(found, Rows)
        assert (found.returns, found.in_turn) == (bool(ending), in_turn)
    found = planned("INSERT INTO customers VALUES (1, 'x'), (2, '') ON CONFLICT (id) DO NOTHING RETURNING id")
    assert isinstance(found, Rows)
    assert found.in_turn


def test_a_default_that_is_the_time_is_written_out() -> None:
    head, rows, _ = rows_of("INSERT INTO stamped VALUES (1), (2)")
    assert head == 'INSERT INTO stamped  ("id", "at") VALUES '
    assert rows == ["(1, ((timestamptz 'T')))", "(2, ((timestamptz 'T')))"]
    head, rows, _ = rows_of("INSERT INTO stamped (id) VALUES (1), (2)")
    assert (head, rows[0]) == ('INSERT INTO stamped (id, "at") VALUES ', "(1, ((timestamptz 'T')))")
    assert rows_of("INSERT INTO stamped VALUES (1, DEFAULT), (2, $1)")[1] == ["(1, ((timestamptz 'T')))", "(2, $1)"]


def test_each_row_has_the_shard_of_its_key() -> None:
    sql = "INSERT INTO customers VALUES (1, 'x'), (NULL, 'y'), ('no number', 'z')"
    found = planned(sql)
    assert isinstance(found, Rows)
    assert found.shards(Call(sql.encode())) == [1, 1, 1]


def test_keys_that_are_computed_are_asked_for_together() -> None:
    found = planned("INSERT INTO orders (id, customer_id) VALUES (1, 2 + 3), (2, 7), (3, $1::int8 * 2)")
    assert isinstance(found, Rows)
    assert found.keys == b"SELECT 2 + 3, $1::int8 * 2"
    assert [row.computed is None for row in found.rows] == [False, True, False]


@pytest.mark.parametrize("key", ["(random() * 5)::int8", "(SELECT max(id) FROM logs)", "extract(day FROM now())::int8"])
def test_a_key_that_may_be_another_the_next_time_is_not_computed_twice(key: str) -> None:
    assert isinstance(planned(f"INSERT INTO orders (id, customer_id) VALUES (1, {key})"), Refusal)
