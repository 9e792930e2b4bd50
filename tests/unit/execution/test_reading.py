"""A text is the begin or the end of a block only if it is nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trunkline.execution.reading import explained_by, may_end_a_failed_block, read, rolls_back_to
from trunkline.routing.plans.plan import Fixed, Occurrence, RoutePlan, Verdict

SESSION = RoutePlan(Verdict.SESSION)


@pytest.mark.parametrize(
    ("sql", "tag"),
    [
        (b"BEGIN", "BEGIN"),
        (b" begin work ; ", "BEGIN"),
        (b"/* x */ BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY -- so", "BEGIN"),
        (b"start transaction read write", "START TRANSACTION"),
        (b"COMMIT;", "COMMIT"),
        (b"end work", "COMMIT"),
        (b"ABORT", "ROLLBACK"),
        (b"rollback transaction and no chain", "ROLLBACK"),
        (b"COMMIT AND CHAIN", ""),
        (b"COMMIT PREPARED 'x'", ""),
        (b"BEGIN; SELECT 1", ""),
        (b"ROLLBACK TO a", ""),
        (b"SET x.y = 'BEGIN'", ""),
    ],
)
def test_the_tag_of_a_statement_that_begins_or_ends_a_block(sql: bytes, tag: str) -> None:
    assert read(sql, SESSION).tag == tag


@pytest.mark.parametrize(
    ("sql", "repeatable", "said_again"),
    [
        (b"BEGIN", True, True),
        (b"SET LOCAL a.b = 1", True, True),
        (b"SET TRANSACTION READ ONLY", True, True),
        (b"SAVEPOINT a", True, True),
        (b"ROLLBACK TO a", True, True),
        (b"SHOW all", True, False),
        (b"SET a.b = 1", False, False),
        (b"SET LOCAL a.b = 1; LISTEN x", False, False),
        (b"LISTEN x", False, False),
        (b"CLOSE ALL", False, False),
    ],
)
def test_what_a_block_may_have_heard_that_begins_anew_elsewhere(sql: bytes, repeatable: bool, said_again: bool) -> None:
    found = read(sql, SESSION)
    assert (found.repeatable, found.said_again) == (repeatable, said_again)


@pytest.mark.parametrize(
    ("sql", "chained"),
    [
        (b"COMMIT AND CHAIN", "COMMIT"),
        (b"/* a */ end work and/**/chain;", "COMMIT"),
        (b"ROLLBACK AND CHAIN", "ROLLBACK"),
        (b"ABORT TRANSACTION AND CHAIN", "ROLLBACK"),
        (b"COMMIT AND NO CHAIN", ""),
        (b"ROLLBACK TO chain", ""),
    ],
)
def test_what_ends_a_block_and_begins_another(sql: bytes, chained: str) -> None:
    assert read(sql, RoutePlan(Verdict.SESSION)).chained == chained


@pytest.mark.parametrize(
    ("sql", "rolls_back", "may_end"),
    [
        (b"-- a\nROLLBACK WORK TO SAVEPOINT a -- b", True, True),
        (b"/* a */ abort", False, True),
        (b"prepare transaction 'a'", False, True),
        (b"SELECT 'rollback to a'", False, False),
        (b"SAVEPOINT a", False, False),
    ],
)
def test_what_a_failed_block_hears(sql: bytes, rolls_back: bool, may_end: bool) -> None:
    assert (rolls_back_to(sql), may_end_a_failed_block(sql)) == (rolls_back, may_end)


def test_what_reads_no_table_may_be_left_behind_unless_it_is_volatile() -> None:
    assert read(b"SELECT 1", RoutePlan(Verdict.ANYWHERE)).repeatable
    assert not read(b"SELECT random()", RoutePlan(Verdict.ANYWHERE, volatile=True)).repeatable
    assert not read(b"SELECT 1 FROM notes", RoutePlan(Verdict.HOME)).repeatable


def test_what_only_reads_the_systems_catalogs_may_be_read_on_any_shard() -> None:
    catalog = Occurrence("pg_catalog.pg_type", "", "system", Fixed(1), "")
    notes = Occurrence("public.notes", "", "home", Fixed(1), "")
    plan = RoutePlan(Verdict.HOME, occurrences=(catalog,))
    assert (read(b"", plan).is_catalog, read(b"", plan).repeatable) == (True, True)
    others = ({"occurrences": (catalog, notes)}, {"occurrences": ()}, {"writes": True}, {"volatile": True})
    others += ({"occurrences": (replace(catalog, writes=True),)},)
    for one in others:
        found = read(b"", replace(plan, **one))
        assert (found.is_catalog, found.repeatable) == (False, False)


@pytest.mark.parametrize(
    ("sql", "inner"),
    [
        (b"EXPLAIN (ROUTE) SELECT 1", b"SELECT 1"),
        (b"/* a */ explain( route )select 1", b"select 1"),
        (b"EXPLAIN (ANALYZE) SELECT 'route'", None),
        (b"EXPLAIN SELECT route", None),
    ],
)
def test_explain_route_has_the_statement_behind_it(sql: bytes, inner: bytes | None) -> None:
    assert explained_by(sql) == inner
