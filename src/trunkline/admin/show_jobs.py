"""SHOW JOBS: statements that each shard runs by itself, in no transaction: what each has done of them."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.admin import columns
from trunkline.admin.commands import show
from trunkline.admin.result import Row
from trunkline.admin.show_workers import date
from trunkline.proxy.instance import Instance
from trunkline.routing.text.fingerprint import Fingerprint

_SHOWN = 1000  # characters of a statement


@show("JOBS", columns.JOBS)
def show_jobs(instance: Instance) -> Iterator[Row]:
    """A row for each shard of each, the oldest first; those that are over are kept for a while."""
    for coordination in instance.routers.coordinations:
        for job in coordination.jobs:
            statement = Fingerprint(job.sql).template[:_SHOWN]
            for part in job.parts:
                error = f"{part.error.sqlstate}: {part.error.message}" if part.error is not None else ""
                yield (
                    job.id,
                    coordination.database,
                    job.user,
                    statement,
                    part.name,
                    part.state.value,
                    part.tries,
                    error,
                    date(part.since),
                )
