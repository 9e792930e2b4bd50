"""Work beside a client's participants."""

from __future__ import annotations

from trunkline.execution.spread.beside import Beside


class Work:
    stopped = 0

    def stop(self) -> None:
        self.stopped += 1


def test_a_cancel_request_stops_what_there_is() -> None:
    beside, work = Beside(), Work()
    beside.stop()
    beside.work = work
    beside.stop()
    assert work.stopped == 1
