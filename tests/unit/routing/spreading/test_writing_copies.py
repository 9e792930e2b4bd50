"""COPY FROM into a reference table: which one every shard does alike."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.planned_writes import planned
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.spreading.writing_copies import CopyToAll


@pytest.mark.parametrize(
    "sql", ["COPY countries FROM STDIN (FORMAT csv)", "COPY countries (code) FROM STDIN WHERE code <> 'x'"]
)
def test_every_shard_gets_the_same_copy(sql: str) -> None:
    assert planned(sql) == CopyToAll(sql.encode())


@pytest.mark.parametrize(
    "sql",
    [
        "COPY countries FROM '/tmp/countries'",
        "COPY countries FROM STDIN (FREEZE)",
        "COPY countries FROM STDIN WHERE random() > 0.5",
        "COPY labels (owner) FROM STDIN",
    ],
)
def test_what_may_differ_is_refused(sql: str) -> None:
    assert isinstance(planned(sql), Refusal)
