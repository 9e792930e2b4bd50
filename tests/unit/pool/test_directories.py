"""What a directory is asked for, and what its rows come to."""

from __future__ import annotations

import pytest

from tests.unit.pool.test_probe import row
from trunkline.config.key_kinds import Lookup
from trunkline.pool.directories import begin, concerns, gather, learn, question
from trunkline.routing.keys.directory import Entries
from trunkline.routing.keys.sharding_builder import DirectoryTable

SHARDS = ("s0", "s1")


def table(lookup: Lookup = Lookup("d", "k", "s"), type: str = "int8") -> DirectoryTable:  # noqa: B008
    return DirectoryTable(lookup, type, SHARDS)


@pytest.mark.parametrize(
    ("lookup", "sql"),
    [
        (Lookup("d", "tenant", "shard"), 'SELECT "tenant"::text, "shard"::text FROM "public"."d"'),
        (Lookup("a.d", 'x"y', "s"), 'SELECT "x""y"::text, "s"::text FROM "a"."d"'),
    ],
)
def test_names_are_quoted(lookup: Lookup, sql: str) -> None:
    assert begin(table(lookup)).endswith(f" FOR {sql}")


def test_keys_are_quoted() -> None:
    asked = question(table(type="text"), ["it's", "\\"])
    assert asked.endswith(" WHERE \"k\" = ANY (ARRAY['it''s', '\\']::text[])")


def test_a_notification_names_a_table_with_its_schema() -> None:
    assert [concerns(payload, table()) for payload in ("", "public.d", "d", "a.d")] == [True, True, False, False]
    assert concerns("a.d", table(Lookup("a.d", "k", "s")))


def test_rows_that_name_no_shard_are_counted_and_say_nothing() -> None:
    entries = Entries()
    bodies = [row(b"2", b"s1"), row(b"x", b"s0"), row(None, b"s0"), row(b"3", b"s7"), row(b"4", None)]
    assert gather(entries, table(), bodies) == 4
    directory = table().directory
    directory.replace(entries)
    assert [directory.find(key) for key in (2, 3, 4)] == [1, None, None]


def test_an_answer_says_of_each_key_that_was_asked_for_where_it_is_or_why_it_is_nowhere() -> None:
    found = table()
    bodies = [row(b"1", b"s1"), row(b"2", b"s9"), row(b"3", b"s0"), row(b"3", b"s1")]
    learn(found, [1, 2, 3, 4], bodies)
    assert [found.directory.find(key) for key in (1, 2, 3, 4)] == [1, None, None, None]
    assert [str(found.directory.why_not(key)) for key in (2, 3, 4)] == [
        "the directory d does not name one shard for it",
        "the directory d does not name one shard for it",
        "the directory d does not have it",
    ]
