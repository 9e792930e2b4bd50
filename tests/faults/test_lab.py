"""The lab in its short form: 300,000 replies and 2,000 faults, and nobody was told anything wrong.

`make lab` is the long one. The run ends when there were enough of both; a machine that is busy with other tests takes
longer to it.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.lab import failover
from tests.faults.lab.options import Options
from tests.faults.lab.run import run

SHORT = Options(replies=300_000, faults=2_000, seconds=420, seed=20)


@pytest.mark.timeout(720)
async def test_the_lab_finds_nothing_in_its_short_form() -> None:
    report = await run(SHORT)
    print(report.text())
    assert not report.findings, "\n".join(map(str, report.findings[:5]))
    assert sum(report.faults.values()) >= SHORT.faults, Counter(report.faults)
    assert len(report.faults) >= 30
    assert report.tally["replies"] >= SHORT.replies


@pytest.mark.timeout(240)
async def test_a_primary_that_is_killed_or_silent_costs_nothing_that_was_acknowledged() -> None:
    """[row 27] Nor anything of those who had nothing under way."""
    course = await failover.run(1, seed=20, pgbench_s=3)
    print(course.text())
    assert not course.findings, "\n".join(course.findings[:5])
    assert course.pgbench["transactions"] > 0
