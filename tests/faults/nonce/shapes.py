"""Shapes: what a client does in one go, as generators of steps that are told how each step ended.

A shape ends in the status I, unless the connection ended or a fault derailed it; the client cleans up after those.
``SHAPES`` is the table, with how often each is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping

from tests.faults.nonce import atoms
from tests.faults.nonce.atoms import FAILING, GOOD, IN_BLOCK, NEEDS, Atom
from tests.faults.nonce.judge import Outcome, Step
from tests.faults.nonce.replies import (
    BOUND,
    CLOSED,
    DESCRIBED,
    PARSED,
    SUSPENDED,
    columns,
    complete,
    error,
    ready,
    row,
    row_starting,
)
from tests.faults.nonce.session import DEFAULT_WORK_MEM, SESSION_SET, UNNAMED, ZONES, Session
from tests.integration.wire import FLUSH, SYNC, bind, close, execute, parse, query

Steps = Generator[Step, Outcome, None]
Shape = Callable[[Session], Steps]

LONGEST_PIPELINE = 24
RARELY = 0.02


def choose(session: Session, table: Mapping[Atom, float]) -> Atom:
    """One atom; what the target cannot do is rarely chosen, for there it costs a connection each time."""
    atom = session.random.choices(list(table), list(table.values()))[0]
    if atom in NEEDS and NEEDS[atom] not in session.can and session.random.random() > RARELY:
        return choose(session, table)
    return atom


def alone(session: Session) -> Steps:
    """One atom outside a transaction."""
    atom = choose(session, FAILING if session.random.random() < 0.1 else GOOD)
    yield atom(session, "I")


def big(session: Session) -> Steps:
    yield atoms.big(session, "I")


def pipeline(session: Session) -> Steps:
    """Many atoms in one write, errors among them."""
    count = session.random.randint(2, LONGEST_PIPELINE)
    chosen = [choose(session, FAILING if session.random.random() < 0.05 else GOOD) for _ in range(count)]
    steps = [atom(session, "I") for atom in chosen if atom not in NEEDS or NEEDS[atom] in session.can]
    request = b"".join(step.request for step in steps)
    replies = [reply for step in steps for reply in step.replies]
    if steps:
        yield Step("pipeline", request, replies, nonces=sum(step.nonces for step in steps))


def flushed(session: Session) -> Steps:
    """Flush instead of Sync: answers come before the unit has ended."""
    first, second = session.nonce(), session.nonce()
    sent = parse("SELECT $1::text") + bind("", [first.encode()]) + execute() + FLUSH
    ended = yield Step("flush", sent, [PARSED, BOUND, row(first), complete("SELECT 1")])
    if ended.clean:
        sent = bind("", [second.encode()]) + execute() + FLUSH
        ended = yield Step("flush", sent, [BOUND, row(second), complete("SELECT 1")])
    if not ended.ended:
        yield Step("flush", SYNC, [ready("I")], nonces=0)


def paged(session: Session) -> Steps:
    """A portal in a transaction, read over several Sync."""
    mine = session.nonce()
    begun = yield Step("portal", query("BEGIN"), [complete("BEGIN"), ready("T")], nonces=0)
    if not begun.clean:
        return
    sent = parse("SELECT $1::text || i FROM generate_series(1, 4) i") + bind("", [mine.encode()], "p")
    sent += execute("p", 2) + SYNC
    answers = [PARSED, BOUND, row(f"{mine}1"), row(f"{mine}2"), SUSPENDED, ready("T")]
    ended = yield Step("portal", sent, answers)
    if ended.clean:
        sent = execute("p", 9) + close("P", "p") + SYNC
        answers = [row(f"{mine}3"), row(f"{mine}4"), complete("SELECT 2"), CLOSED, ready("T")]
        ended = yield Step("portal", sent, answers, nonces=0)
    if ended.clean:
        yield Step("portal", query("COMMIT"), [complete("COMMIT"), ready("I")], nonces=0)


def transaction(session: Session) -> Steps:
    """Atoms in a transaction, all of them on one server; it may end by an error, and always ends."""
    ended = yield Step("begin", query("BEGIN"), [complete("BEGIN"), ready("T")], nonces=0)
    pid: bytes | None = None
    for _ in range(session.random.randint(1, 5)):
        if not ended.clean:
            return
        ended = yield choose(session, IN_BLOCK)(session, "T")
        if ended.clean:
            ended = yield _same_server(session, pid)
            pid = pid or _pid(ended)
    if ended.clean and session.random.random() < 0.2:
        ended = yield choose(session, FAILING)(session, "T")
        if ended.clean:
            refused = query(f"SELECT '{session.nonce()}'")
            ended = yield Step("failed", refused, [error("25P02"), ready("E")])
            tag = session.random.choice(("COMMIT", "ROLLBACK"))
            yield Step("end", query(tag), [complete("ROLLBACK"), ready("I")], nonces=0)
    elif ended.clean:
        tag = session.random.choice(("COMMIT", "ROLLBACK"))
        yield Step("end", query(tag), [complete(tag), ready("I")], nonces=0)


def _same_server(session: Session, pid: bytes | None) -> Step:
    mine = session.nonce()
    answer = row_starting(mine, columns=2) if pid is None else row(mine, pid.decode())
    sql = f"SELECT '{mine}', pg_backend_pid()"
    return Step("same server", query(sql), [DESCRIBED, answer, complete("SELECT 1"), ready("T")])


def _pid(ended: Outcome) -> bytes | None:
    return columns(ended.frames[1][1])[1] if ended.clean else None


def kept_unnamed(session: Session) -> Steps:
    """An unnamed statement that is parsed in one unit and used in others, whoever had the server in between."""
    first = session.nonce()
    sql = f"SELECT $1::text, 'unnamed of {session.client}'"
    parsed = yield Step("kept unnamed", parse(sql) + SYNC, [PARSED, ready("I")], nonces=0, needs=UNNAMED)
    if parsed.clean:
        sent = bind("", [first.encode()]) + execute() + SYNC
        answers = [BOUND, row(first, f"unnamed of {session.client}"), complete("SELECT 1"), ready("I")]
        yield Step("kept unnamed", sent, answers, needs=UNNAMED)


def set_reported(session: Session) -> Steps:
    """SET of something that servers report."""
    name, value = "TimeZone", session.random.choice(ZONES)
    if session.random.random() < 0.2:
        name, value = "application_name", f"nonce {session.client} {session.serial}"
    answers = [complete("SET"), ready("I")]
    yield Step("set", query(f"SET {name} = '{value}'"), answers, sets={name: value}, nonces=0)
    yield atoms.settings(session, "I")


def set_hidden(session: Session) -> Steps:
    """A function that sets a reported parameter for the whole session."""
    mine = session.nonce()
    name = f"hidden {session.client} {session.serial}"
    sql = f"SELECT nonce_named('{mine}', '{name}')"
    answers = [DESCRIBED, row(mine), complete("SELECT 1"), ready("I")]
    yield Step("hidden set", query(sql), answers, sets={"application_name": name})


def set_session(session: Session) -> Steps:
    """SET of something that no server reports, checked, and given up by RESET now and then."""
    # Another one for each client, and odd, for PostgreSQL shows 4096kB as 4MB.
    value = f"{4097 + 2 * (session.client * 32 + session.random.randrange(32))}kB"
    statement = f"SET work_mem = '{value}'"
    answers = [complete("SET"), ready("I")]
    sets = {"work_mem": value}
    ended = yield Step("session set", query(statement), answers, sets=sets, nonces=0, needs=SESSION_SET)
    if ended.clean:
        answers = [DESCRIBED, row(value), complete("SHOW"), ready("I")]
        ended = yield Step("session set", query("SHOW work_mem"), answers, nonces=0, needs=SESSION_SET)
    if ended.clean and session.random.random() < 0.5:
        answers = [complete("RESET"), ready("I")]
        sets = {"work_mem": DEFAULT_WORK_MEM}
        yield Step("session set", query("RESET work_mem"), answers, sets=sets, nonces=0, needs=SESSION_SET)


def set_rolled_back(session: Session) -> Steps:
    """A SET that a ROLLBACK undoes."""
    ended = yield Step("begin", query("BEGIN"), [complete("BEGIN"), ready("T")], nonces=0)
    if ended.clean:
        answers = [complete("SET"), ready("T")]
        ended = yield Step("rolled back set", query("SET TimeZone = 'Asia/Tokyo'"), answers, nonces=0)
    if ended.clean:
        yield Step("rollback", query("ROLLBACK"), [complete("ROLLBACK"), ready("I")], nonces=0)


SHAPES: Mapping[Shape, float] = {
    alone: 40,
    pipeline: 24,
    flushed: 5,
    paged: 3,
    transaction: 10,
    kept_unnamed: 3,
    set_reported: 2,
    set_hidden: 1,
    set_session: 2,
    set_rolled_back: 1,
    big: 0.1,
}
