"""The nonce clients' judge is itself judged: each wrong that a pooler has ever done must be found, and nothing else."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from tests.faults.nonce.judge import (
    MISDELIVERED,
    OUT_OF_ORDER,
    UNEXPECTED_ERROR,
    WRONG_REPLY,
    WRONG_SETTINGS,
    WRONG_STATUS,
    Judge,
    Rules,
    Step,
)
from tests.faults.nonce.ledger import ABSENT, MAYBE, ONCE, Entry, compare
from tests.faults.nonce.nonces import found_in, nonce, owner
from tests.faults.nonce.replies import DESCRIBED, complete, ready, row
from tests.faults.nonce.session import Session
from tests.integration.wire import query

MINE = nonce(1, 5, "aa")
MINE_BEFORE = nonce(1, 4, "aa")
ANOTHERS = nonce(2, 5, "aa")
SELECT = [("T", b"any"), ("D", row(MINE).body), ("C", b"SELECT 1\0"), ("Z", b"I")]
LOST = ("E", b"SFATAL\0VFATAL\0C08006\0Mserver closed the connection\0\0")
CANCELED = ("E", b"SERROR\0VERROR\0C57014\0Mcanceling statement due to user request\0\0")


def asked(sql: str = f"SELECT '{MINE}'", count: int = 1) -> Step:
    answers = [DESCRIBED, row(MINE), complete("SELECT 1"), ready("I")]
    return Step("simple", query(sql), answers * count)


def judged(frames: list[tuple[str, bytes | None]], step: Step | None = None, **rules: bool) -> Judge:
    """A judge of client 1 that has seen these frames come in answer to the step."""
    session = Session(1, "aa", Random(1))
    session.restart({"application_name": "nonce 1"})
    judge = Judge(session, Rules(frozenset({"08006"}), **rules), lambda: None)
    judge.expect(step or asked())
    for kind, body in frames:
        judge.feed(ord(kind), body or b"")
    return judge


def failure(judge: Judge) -> str | None:
    return judge.failure.kind if judge.failure is not None else None


def test_a_nonce_tells_whose_it_is() -> None:
    assert found_in(f"so {MINE} and {ANOTHERS}".encode()) == [MINE.encode(), ANOTHERS.encode()]
    assert (owner(MINE.encode()), owner(ANOTHERS.encode())) == (1, 2)


def test_the_right_answer_is_right() -> None:
    judge = judged(SELECT)
    assert failure(judge) is None
    assert judge.outcome(ended=False).clean


WRONGS = {
    "the answer of another client": (MISDELIVERED, [SELECT[0], ("D", row(ANOTHERS).body)]),
    "an error of another client": (MISDELIVERED, [("E", b"VERROR\0C08006\0M" + ANOTHERS.encode() + b"\0\0")]),
    "a notice of another client": (MISDELIVERED, [("N", b"VNOTICE\0C00000\0M" + ANOTHERS.encode() + b"\0\0")]),
    "an answer of before": (OUT_OF_ORDER, [SELECT[0], ("D", row(MINE_BEFORE).body)]),
    "an answer cut short": (WRONG_REPLY, [SELECT[0], SELECT[2]]),
    "an answer too many": (WRONG_REPLY, [*SELECT, ("Z", b"I")]),
    "a row twice": (WRONG_REPLY, [*SELECT[:2], SELECT[1]]),
    "the answer to a statement that nobody sent": (WRONG_REPLY, [("C", b"SET\0")]),
    "a transaction that nobody began": (WRONG_STATUS, [*SELECT[:3], ("Z", b"T")]),
    "the settings of another": (WRONG_SETTINGS, [("S", b"application_name\0nonce 2\0"), *SELECT]),
    "an internal error": (UNEXPECTED_ERROR, [("E", b"VERROR\0CXX000\0Moops\0\0")]),
    "the cancel request of another": (UNEXPECTED_ERROR, [CANCELED]),
}


@pytest.mark.parametrize("wrong", WRONGS)
def test_a_wrong_is_found(wrong: str) -> None:
    kind, frames = WRONGS[wrong]
    assert failure(judged(frames)) == kind


@pytest.mark.parametrize("came", range(4))
def test_a_loss_may_come_at_any_point_and_is_told_once(came: int) -> None:
    judge = judged([*SELECT[:came], LOST])
    assert failure(judge) is None
    outcome = judge.outcome(ended=True)
    assert (outcome.clean, outcome.ended, outcome.sqlstate) == (False, True, "08006")


def test_what_comes_behind_an_excused_error_is_still_judged() -> None:
    step = asked(count=2)
    assert failure(judged([LOST, ("Z", b"I"), *SELECT], step)) is None
    assert failure(judged([LOST, ("Z", b"I"), SELECT[0], ("D", row(ANOTHERS).body)], step)) == MISDELIVERED


@pytest.mark.parametrize(("canceling", "echo"), [(1, False), (0, True)], ids=["under way", "over in this step"])
def test_a_cancel_of_ones_own_is_excused(canceling: int, echo: bool) -> None:
    judge = judged([])
    judge.session.canceling, judge.session.echo = canceling, echo
    judge.feed(ord("E"), CANCELED[1])
    assert failure(judge) is None


def test_a_cancel_that_was_over_before_the_step_is_no_excuse() -> None:
    judge = judged([])
    judge.session.echo = True
    judge.outcome(ended=False)
    judge.feed(ord("E"), CANCELED[1])
    assert failure(judge) == UNEXPECTED_ERROR


def test_falsified_bytes_excuse_everything_but_the_nonce_of_another() -> None:
    assert failure(judged([("?", b"")], rough=True)) is None
    assert failure(judged([("D", row(ANOTHERS).body)], rough=True)) == MISDELIVERED


def test_a_word_of_farewell_behind_a_whole_answer_belongs_to_no_statement() -> None:
    judge = judged([*SELECT, LOST])
    assert judge.outcome(ended=False).clean


LEDGER = {
    (ONCE, 1): True,
    (ONCE, 0): False,
    (ONCE, 2): False,
    (ABSENT, 0): True,
    (ABSENT, 1): False,
    (MAYBE, 0): True,
    (MAYBE, 1): True,
    (MAYBE, 2): False,
}


@pytest.mark.parametrize(("told", "count"), LEDGER)
def test_the_ledger_is_compared_with_what_was_told(told: str, count: int) -> None:
    wrong = compare({MINE: Entry(told, "")}, Counter({MINE: count} if count else {}))
    assert (not wrong) == LEDGER[told, count]


def test_what_nobody_wrote_must_not_be_in_the_ledger() -> None:
    assert len(compare({}, Counter({MINE: 1}))) == 1
