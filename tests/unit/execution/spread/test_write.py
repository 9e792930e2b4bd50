"""The parts of a write over several shards that need no server."""

from __future__ import annotations

from trunkline.execution.spread.write import Done, parameters_in
from trunkline.protocol.messages import message


async def test_rows_that_are_kept_come_back_in_order() -> None:
    done = Done()
    runs = [message(b"D", b"x" * size) for size in (1, 100_000, 3)]
    for run in runs:
        done.keep(run)
    assert [run async for run in done.rows()] == runs
    done.tags += [b"INSERT 0 2", b"INSERT 0 3"]
    assert done.tag() == b"INSERT 0 5"


def test_parameters_are_found_in_texts_and_not_in_strings() -> None:
    assert parameters_in(b"VALUES ($1, '$2', $12) -- $3") == {1, 12}
