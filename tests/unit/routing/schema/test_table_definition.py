"""What the rows mean that a home shard answers of one table."""

from __future__ import annotations

from trunkline.routing.schema.table_definition import Action, Unique, query, read


def test_rows_are_sorted_by_what_they_say() -> None:
    found = read(
        [
            (b"columns", b"", b"id"),
            (b"before", b"", b"CREATE TABLE t (id int8)"),
            (b"trigger", b"", b"ALTER TABLE t DISABLE TRIGGER x"),
            (b"unique", b"u", b'["a", "b"]'),
            (b"action", b"f", b'["a"]'),
            (b"referencing", b"", b'["s", "r"]'),
            (b"odd", b"", b"it is a partition"),
        ]
    )
    assert found.columns == ["id"]
    assert found.before == ["CREATE TABLE t (id int8)"]
    assert found.after == found.triggers == ["ALTER TABLE t DISABLE TRIGGER x"]
    assert found.unique == [Unique("u", frozenset("ab"))]
    assert found.actions == [Action("f", frozenset("a"))]
    assert found.referencing == [("s", "r")]
    assert found.odd == ["it is a partition"]


def test_the_query_is_about_one_table() -> None:
    assert "c.oid = 'a.b'::regclass" in query("'a.b'")
