"""Rows in a run of DataRow messages."""

from __future__ import annotations

from trunkline.execution.spread.runs import cut
from trunkline.protocol.messages import data_row


def test_a_run_is_cut_behind_whole_rows() -> None:
    first, second = data_row([b"1"]), data_row([b"22", None])
    assert cut(first + second, 1) == (len(first), 1)
    assert cut(first + second, 5) == (len(first + second), 2)
    assert cut(b"", 5) == (0, 0)
