"""Writers: shapes that put nonces into the ledger table, and record what they were told became of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping

from tests.faults.nonce.judge import Outcome, Step
from tests.faults.nonce.ledger import ABSENT, MAYBE, ONCE, TABLE, UNKNOWN
from tests.faults.nonce.replies import BOUND, COPY_IN, DESCRIBED, PARSED, complete, error, ready, row
from tests.faults.nonce.session import Session
from tests.integration.wire import SYNC, bind, execute, frame, parse, query

Steps = Generator[Step, Outcome, None]
Writer = Callable[[Session], Steps]

BEGIN = Step("begin", query("BEGIN"), [complete("BEGIN"), ready("T")], nonces=0)
SPECIAL_ROWS = 200


def _insert(session: Session, nonce: str) -> str:
    return f"INSERT INTO {TABLE} VALUES ('{nonce}', {session.client})"


def _record(session: Session, nonces: list[str], ended: Outcome, *, committing: bool) -> None:
    """``committing``: this step would have committed them."""
    told = ABSENT
    if committing and ended.clean:
        told = ONCE
    elif committing and (ended.ended or not ended.ready or ended.sqlstate in UNKNOWN):
        told = MAYBE
    how = f"{ended.shape}: {ended.sqlstate or 'no error'}, {'ended' if ended.ended else 'kept'}: {ended.last_words}"
    session.ledger.record(nonces, told, how)


def insert(session: Session) -> Steps:
    """A statement that commits itself."""
    mine = session.nonce()
    sent = query(_insert(session, mine))
    if session.random.random() < 0.5:
        sent = query(_insert(session, mine) + " RETURNING nonce")
        ended = yield Step("insert", sent, [DESCRIBED, row(mine), complete("INSERT 0 1"), ready("I")])
    else:
        ended = yield Step("insert", sent, [complete("INSERT 0 1"), ready("I")])
    _record(session, [mine], ended, committing=True)


def insert_extended(session: Session) -> Steps:
    mine = session.nonce()
    sent = parse(f"INSERT INTO {TABLE} VALUES ($1, {session.client})") + bind("", [mine.encode()]) + execute() + SYNC
    ended = yield Step("insert extended", sent, [PARSED, BOUND, complete("INSERT 0 1"), ready("I")])
    _record(session, [mine], ended, committing=True)


def insert_together(session: Session) -> Steps:
    """Two writes that one Sync commits, or neither if an error comes between."""
    first, second = session.nonce(), session.nonce()
    fails = session.random.random() < 0.4
    sent = parse(f"INSERT INTO {TABLE} VALUES ($1, {session.client})")
    sent += bind("", [first.encode()]) + execute() + bind("", [second.encode()]) + execute()
    written = [PARSED, BOUND, complete("INSERT 0 1"), BOUND, complete("INSERT 0 1")]
    if fails:
        sent += parse("SELECT 1 / 0")
        ended = yield Step(
            "insert undone", sent + bind() + execute() + SYNC, [*written, PARSED, error("22012"), ready("I")]
        )
    else:
        ended = yield Step("insert together", sent + SYNC, [*written, ready("I")], nonces=2)
    _record(session, [first, second], ended, committing=not fails)


def transaction(session: Session) -> Steps:
    """BEGIN, some writes, and COMMIT or ROLLBACK, a step each."""
    nonces = [session.nonce() for _ in range(session.random.randint(1, 3))]
    session.ledger.record(nonces, ABSENT)
    ended = yield BEGIN
    for one in nonces:
        if ended.clean:
            ended = yield Step("insert in block", query(_insert(session, one)), [complete("INSERT 0 1"), ready("T")])
    if not ended.clean:
        return
    tag = "COMMIT" if session.random.random() < 0.7 else "ROLLBACK"
    ended = yield Step(tag.lower(), query(tag), [complete(tag), ready("I")], nonces=0)
    _record(session, nonces, ended, committing=tag == "COMMIT")


def block_at_once(session: Session) -> Steps:
    """A whole transaction in one Query, or in three that are sent at once."""
    mine = session.nonce()
    if session.random.random() < 0.5:
        sent = query(f"BEGIN; {_insert(session, mine)}; COMMIT")
        answers = [complete("BEGIN"), complete("INSERT 0 1"), complete("COMMIT"), ready("I")]
    else:
        sent = query("BEGIN") + query(_insert(session, mine)) + query("COMMIT")
        answers = [complete("BEGIN"), ready("T"), complete("INSERT 0 1"), ready("T"), complete("COMMIT"), ready("I")]
    ended = yield Step("block at once", sent, answers)
    _record(session, [mine], ended, committing=True)
    if not ended.clean:
        # If the BEGIN failed alone, the INSERT behind it has committed itself.
        session.ledger.record([mine], MAYBE)


def copy_in(session: Session) -> Steps:
    """COPY FROM STDIN: step by step or in one write; it may be given up by CopyFail."""
    nonces = [session.nonce() for _ in range(session.random.randint(1, 5))]
    fails = session.random.random() < 0.25
    sent = query(f"COPY {TABLE} FROM STDIN")
    data = b"".join(frame("d", f"{one}\t{session.client}\n".encode()) for one in nonces)
    data += frame("f", b"given up\0") if fails else frame("c")
    answers = [error("57014", "given up"), ready("I")] if fails else [complete(f"COPY {len(nonces)}"), ready("I")]
    if session.random.random() < 0.5:
        ended = yield Step("copy in", sent + data, [COPY_IN, *answers], nonces=len(nonces))
    else:
        session.ledger.record(nonces, ABSENT)
        ended = yield Step("copy in", sent, [COPY_IN], on_error=[ready("I")], nonces=0)
        if not ended.clean:
            return
        ended = yield Step("copy in", data, answers, nonces=len(nonces))
    _record(session, nonces, ended, committing=not fails)


def copy_in_extended(session: Session) -> Steps:
    """COPY FROM STDIN over the extended protocol: Sync is ignored until the data has ended."""
    mine = session.nonce()
    sent = parse(f"COPY {TABLE} FROM STDIN") + bind() + execute()
    data = frame("d", f"{mine}\t{session.client}\n".encode()) + frame("c") + SYNC
    session.ledger.record([mine], ABSENT)
    ended = yield Step("copy in extended", sent + data, [PARSED, BOUND, COPY_IN, complete("COPY 1"), ready("I")])
    _record(session, [mine], ended, committing=True)


WRITERS: Mapping[Writer, float] = {
    insert: 4,
    insert_extended: 3,
    insert_together: 2,
    transaction: 3,
    block_at_once: 2,
    copy_in: 2,
    copy_in_extended: 1,
}
