"""The lab in its short form: 300,000 replies and 2,000 faults, and nobody was told anything wrong.

`make lab` is the long one. The run ends when there were enough of both, or after three minutes: a machine that is busy
with other tests makes fewer of them in that time, and then the least that proves anything is asked for.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.lab.options import Options
from tests.faults.lab.run import run

SHORT = Options(replies=300_000, faults=2_000, seconds=180, seed=20)
LEAST_REPLIES = 50_000
LEAST_FAULTS = 1_200


@pytest.mark.timeout(420)
async def test_the_lab_finds_nothing_in_its_short_form() -> None:
    report = await run(SHORT)
    print(report.text())
    assert not report.findings, "\n".join(map(str, report.findings[:5]))
    assert sum(report.faults.values()) >= LEAST_FAULTS, Counter(report.faults)
    assert len(report.faults) >= 30
    assert report.tally["replies"] >= LEAST_REPLIES
