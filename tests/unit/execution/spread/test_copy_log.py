"""Lines of a COPY, by where they went."""

from __future__ import annotations

from trunkline.execution.spread.copy_log import EVERYWHERE, Log


def test_lines_are_told_behind_many_rows_too() -> None:
    log = Log()
    log.add(EVERYWHERE)
    for number in range(200_000):
        log.add(number % 2, extra=2 * (number == 100_000))
    assert log.lines == 200_003
    assert (log.line_of(0, 1), log.line_of(1, 1), log.line_of(1, 2)) == (1, 1, 3)
    assert log.line_of(1, 100_001) == 200_003
    assert log.line_of(0, 50_004) == 100_004
    assert log.line_of(0, 10**9) == 200_004


def test_rows_are_written_together_by_their_number_and_size() -> None:
    log = Log()
    log.add(EVERYWHERE, body=70_000)
    for _ in range(1001):
        log.add(0, body=10)
    assert [log.batch_of(line) for line in (1, 2, 1001, 1002, 1003)] == [0, 0, 0, 1, 1]
    log.add(0, extra=2, body=65_525)
    assert [log.batch_of(line) for line in (1005, 1006)] == [1, 2]
