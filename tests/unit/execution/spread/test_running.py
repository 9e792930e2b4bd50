"""Each kind of program has somebody who runs it."""

from __future__ import annotations

from typing import get_args

from trunkline.execution.spread.running import RUNNERS
from trunkline.routing.spreading.planner import Program


def test_every_program_can_be_run() -> None:
    assert set(RUNNERS) == set(get_args(Program) or (Program,))
