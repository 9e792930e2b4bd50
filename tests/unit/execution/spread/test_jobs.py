"""What is kept of jobs, and what is tried again."""

from __future__ import annotations

import pytest

from trunkline.errors import QueryCanceled, ServerLost
from trunkline.execution.spread.jobs import FIRST_PAUSE_S, KEPT, Jobs, Part, State, is_lost, is_transient, pause_s
from trunkline.shard_errors import StatementFailed


@pytest.mark.parametrize(
    ("sqlstate", "again"),
    [("55P03", True), ("40P01", True), ("57P01", True), ("23505", False), ("53300", False), ("42P07", False)],
)
def test_what_another_time_may_mend_is_tried_again(sqlstate: str, again: bool) -> None:
    assert is_transient(StatementFailed(sqlstate, "...")) is again


def test_who_lost_a_server_does_not_know_what_it_did() -> None:
    assert is_lost(ServerLost("gone"))
    assert is_lost(StatementFailed("57P01", "..."))
    assert not is_lost(StatementFailed("55P03", "..."))
    assert not is_transient(QueryCanceled("..."))


def test_each_pause_is_twice_the_last_one() -> None:
    assert [pause_s(tries) / FIRST_PAUSE_S for tries in (1, 2, 3)] == [1, 2, 4]


def test_no_two_jobs_of_a_process_have_one_id() -> None:
    jobs = Jobs()
    assert [jobs.begin("ann", b"VACUUM", now).id for now in (1.0, 1.0, 0.5, 2.0)] == [1000, 1001, 1002, 2000]


def test_the_oldest_that_are_over_are_forgotten_and_none_that_runs() -> None:
    jobs = Jobs()
    running = jobs.begin("ann", b"VACUUM", 1.0)
    running.parts = [Part(0, "s0", 1.0), Part(1, "s1", 1.0, State.FAILED)]
    over = [jobs.begin("ann", b"VACUUM", 2.0) for _ in range(KEPT + 3)]
    assert list(jobs) == [running, *over[4:]]
    assert (running.names(State.FAILED), running.is_over) == ("s1", False)
