"""SHOW JOBS: what is told of a statement at each of its shards."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from trunkline.admin.show_jobs import show_jobs
from trunkline.execution.spread.jobs import Jobs, Part, State
from trunkline.shard_errors import StatementFailed


def test_each_shard_has_a_row_without_the_statements_literals() -> None:
    jobs = Jobs()
    job = jobs.begin("ann", b"CREATE INDEX CONCURRENTLY i ON t (n) WHERE n = 'secret'", 1.0)
    error = StatementFailed("55P03", "canceling statement due to lock timeout")
    job.parts = [Part(0, "s0", 0.0, State.DONE, 1), Part(1, "s1", 60.0, State.RETRYING, 2, error)]
    coordination = SimpleNamespace(database="shop", jobs=jobs)
    instance: Any = SimpleNamespace(routers=SimpleNamespace(coordinations=[coordination]))
    statement = "create index concurrently i on t(n)where n=?"
    found = [(*row[:3], row[3].replace(" ", ""), *row[4:]) for row in show_jobs(instance)]
    assert found == [
        (1000, "shop", "ann", statement.replace(" ", ""), "s0", "done", 1, "", "1970-01-01 00:00:00 UTC"),
        (
            1000, "shop", "ann", statement.replace(" ", ""), "s1", "to be tried again", 2,
            "55P03: canceling statement due to lock timeout", "1970-01-01 00:01:00 UTC",
        ),
    ]  # fmt: skip
