"""What each shard is told of a statement that PostgreSQL runs in no transaction, and what it does by what it has."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.planned_writes import planned
from trunkline.routing.spreading.shard_jobs import Has, ShardJobs, Step, Work, steps

ALL, HOME, S1 = 0b111, 0b001, 0b010
NOTHING, VALID, LEFTOVER, OTHER = Has.NOTHING, Has.VALID, Has.LEFTOVER, Has.OTHER
RUN, PASS = Step.RUN, Step.PASS


def jobs(sql: str) -> ShardJobs:
    found = planned(sql)
    assert isinstance(found, ShardJobs), found
    return found


@pytest.mark.parametrize(
    ("sql", "work"),
    [
        ("CREATE INDEX CONCURRENTLY i ON orders (id)", Work.CREATE),
        ("DROP INDEX CONCURRENTLY by_region", Work.DROP),
        ("REINDEX INDEX CONCURRENTLY by_region", Work.REBUILD),
        ("REINDEX (CONCURRENTLY) TABLE orders", Work.REBUILD),
        ("REINDEX (CONCURRENTLY 1) TABLE orders", Work.REBUILD),
        ("REINDEX TABLE readings", Work.REBUILD),
        ("REINDEX SCHEMA public", Work.REBUILD),
        ("REINDEX DATABASE", Work.REBUILD),
        ("CLUSTER", Work.UPKEEP),
        ("CLUSTER readings", Work.UPKEEP),
        ("VACUUM", Work.UPKEEP),
        ("VACUUM orders, countries", Work.UPKEEP),
        ("ANALYZE orders", Work.UPKEEP),
    ],
)
def test_every_shard_is_told_the_clients_own_words(sql: str, work: Work) -> None:
    found = jobs(sql)
    assert (found.work, found.mask, found.texts) == (work, ALL, ((ALL, sql.encode()),))


@pytest.mark.parametrize("sql", ["REINDEX TABLE orders", "REINDEX (CONCURRENTLY off) TABLE orders", "CLUSTER orders"])
def test_what_a_transaction_may_hold_is_no_job(sql: str) -> None:
    assert not isinstance(planned(sql), ShardJobs)


@pytest.mark.parametrize(
    ("sql", "elsewhere"),
    [
        ("VACUUM logs, orders", 'VACUUM "public"."orders"'),
        ("VACUUM (FULL, analyze) orders (id, day), logs", 'VACUUM (FULL, analyze) "public"."orders" ("id", "day")'),
        ("ANALYZE ONLY logs, ONLY readings", 'ANALYZE ONLY "public"."readings"'),
    ],
)
def test_a_shard_looks_after_the_tables_that_it_has(sql: str, elsewhere: str) -> None:
    assert jobs(sql).texts == ((HOME, sql.encode()), (ALL & ~HOME, elsewhere.encode()))


def test_where_no_shard_has_all_of_the_tables_each_is_told_of_its_own() -> None:
    found = jobs("VACUUM /* both */ logs, acme.invoices")
    assert found.texts == ((HOME, b'VACUUM "public"."logs"'), (S1, b'VACUUM "acme"."invoices"'))


def test_an_index_without_a_name_gets_the_same_one_everywhere() -> None:
    found = jobs('create unique index concurrently ON "public" . orders (customer_id, lower(status)) WHERE id > 3')
    assert found.index == ""
    assert found.text(1, 'a"b') == (
        b'create unique index concurrently "a""b" ON "public" . orders (customer_id, lower(status)) WHERE id > 3'
    )
    assert found.empty == (
        b'CREATE UNIQUE INDEX  ON pg_temp."orders"  (customer_id, lower(status)) WHERE id > 3'
    )  # fmt: skip


def test_an_index_with_a_name_is_where_its_table_is() -> None:
    found = jobs("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY public.orders USING hash (x)")
    assert (found.index, found.called, found.unless, found.table) == ('"public"."i"', "i", True, ("public", "orders"))
    assert found.empty == b'CREATE INDEX "i" ON pg_temp."orders"  USING hash (x)'


@pytest.mark.parametrize(
    ("work", "unless", "equal", "seen", "done"),
    [
        (Work.CREATE, False, True, (NOTHING, NOTHING), {0: RUN, 1: RUN}),
        (Work.CREATE, False, True, (LEFTOVER, NOTHING), {0: RUN, 1: RUN}),
        (Work.CREATE, False, True, (VALID, NOTHING), {0: PASS, 1: RUN}),
        (Work.CREATE, False, False, (VALID, NOTHING), {0: RUN}),
        (Work.CREATE, False, False, (NOTHING, VALID), {1: RUN}),
        (Work.CREATE, False, True, (NOTHING, OTHER), {1: RUN}),
        (Work.CREATE, False, True, (VALID, VALID), {0: RUN}),
        (Work.CREATE, True, True, (VALID, VALID), {0: RUN}),
        (Work.CREATE, True, False, (VALID, NOTHING), {0: PASS, 1: RUN}),
        (Work.CREATE, True, False, (OTHER, LEFTOVER), {0: RUN, 1: RUN}),
        (Work.DROP, False, True, (VALID, VALID), {0: RUN, 1: RUN}),
        (Work.DROP, False, True, (NOTHING, LEFTOVER), {0: PASS, 1: RUN}),
        (Work.DROP, False, True, (NOTHING, NOTHING), {0: RUN}),
    ],
)
def test_what_is_said_again_completes_what_was_left(
    work: Work, unless: bool, equal: bool, seen: tuple[Has, ...], done: dict[int, Step]
) -> None:
    program = ShardJobs(work, b"", ((0b11, b""),), index="i", unless=unless)
    assert steps(program, 0, dict(enumerate(seen)), equal=equal) == done
