"""Shapes whose query the client itself cancels, in time, too late, or in a transaction."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping

from tests.faults.nonce.judge import Outcome, Step
from tests.faults.nonce.replies import BOUND, DESCRIBED, PARSED, complete, ready, row
from tests.faults.nonce.session import Session
from tests.integration.wire import SYNC, bind, execute, parse, query

Steps = Generator[Step, Outcome, None]


def _sleep(session: Session, seconds: float, status: str, cancel_after: float) -> Step:
    mine = session.nonce()
    if session.random.random() < 0.5:
        sent = parse("SELECT $1::text, pg_sleep($2)") + bind("", [mine.encode(), b"%f" % seconds]) + execute() + SYNC
        answers = [PARSED, BOUND, row(mine, ""), complete("SELECT 1"), ready(status)]
    else:
        sent = query(f"SELECT '{mine}', pg_sleep({seconds:f})")
        answers = [DESCRIBED, row(mine, ""), complete("SELECT 1"), ready(status)]
    return Step("canceled", sent, answers, cancel_after=cancel_after)


def canceled(session: Session) -> Steps:
    """Long enough to be met."""
    yield _sleep(session, 0.3, "I", session.random.uniform(0, 0.05))


def raced(session: Session) -> Steps:
    """The query ends at about the time when the cancel request comes; then others follow at once."""
    seconds = session.random.uniform(0, 0.003)
    ended = yield _sleep(session, seconds, "I", session.random.uniform(0, 2 * seconds))
    if not ended.ended:
        mine = session.nonce()
        yield Step(
            "after a cancel", query(f"SELECT '{mine}'"), [DESCRIBED, row(mine), complete("SELECT 1"), ready("I")]
        )


def canceled_in_block(session: Session) -> Steps:
    ended = yield Step("begin", query("BEGIN"), [complete("BEGIN"), ready("T")], nonces=0)
    if ended.clean:
        ended = yield _sleep(session, 0.1, "T", session.random.uniform(0, 0.02))
    if ended.clean:
        yield Step("rollback", query("ROLLBACK"), [complete("ROLLBACK"), ready("I")], nonces=0)


def canceled_idle(session: Session) -> Steps:
    """Nothing runs any more: the request must do nothing to anyone."""
    mine = session.nonce()
    answers = [DESCRIBED, row(mine), complete("SELECT 1"), ready("I")]
    yield Step("canceled idle", query(f"SELECT '{mine}'"), answers, cancel_after=0.002)


CANCELS: Mapping[Callable[[Session], Steps], float] = {canceled: 2, raced: 4, canceled_in_block: 1, canceled_idle: 2}
