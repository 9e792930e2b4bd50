"""Atoms: statements of one step that end with the status they began with, and so can stand alone, in a transaction, or
side by side in a pipeline. Each is a function from a session and the status that ReadyForQuery will have to a ``Step``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.faults.nonce.judge import Step
from tests.faults.nonce.replies import (
    BOUND,
    CLOSED,
    COPY_DONE,
    COPY_OUT,
    DESCRIBED,
    NO_DATA,
    PARSED,
    SUSPENDED,
    Reply,
    complete,
    error,
    notice,
    ready,
    reply,
    row,
    row_starting,
)
from tests.faults.nonce.session import NAMED, REPLAYED, SCHEMAS, SESSION_SET, Session
from tests.integration.wire import SYNC, bind, close, describe, execute, parse, query

BIG = 1 << 20
NAMES = ("s0", "s1", "s2", "s3", "a name that every client uses")
KEPT_PER_NAME = 0.9

Atom = Callable[[Session, str], Step]

SETUP = (
    "CREATE OR REPLACE FUNCTION nonce_in_zone(nonce text, zone text) RETURNS text LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM set_config('TimeZone', zone, true);"
    " RETURN nonce || ' in ' || current_setting('TimeZone'); END $$",
    "CREATE OR REPLACE FUNCTION nonce_named(nonce text, name text) RETURNS text LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM set_config('application_name', name, false); RETURN nonce; END $$",
    *(f"CREATE SCHEMA IF NOT EXISTS lab_{number}" for number in range(SCHEMAS)),
    *(
        f"CREATE OR REPLACE FUNCTION lab_{number}.whose(nonce text) RETURNS text LANGUAGE sql AS"
        f" $$ SELECT nonce || ' of lab_{number}' $$"
        for number in range(SCHEMAS)
    ),
)
"""What a database must have for the atoms; run once, by whoever prepares it."""
TEARDOWN = (
    "DROP FUNCTION nonce_in_zone, nonce_named",
    *(f"DROP SCHEMA lab_{number} CASCADE" for number in range(SCHEMAS)),
)


def _known(session: Session, name: str) -> str | None:
    """The value of a setting, if the client knows it."""
    return session.settings.get(name)


# --- simple protocol --------------------------------------------------------------------------------------------


def simple(session: Session, status: str) -> Step:
    mine = session.nonce()
    sql = f"SELECT '{mine}', pg_backend_pid(), txid_current_if_assigned()"
    return Step(
        "simple",
        query(sql),
        [DESCRIBED, row_starting(mine, columns=3), complete("SELECT 1"), ready(status)],
    )


def multi(session: Session, status: str) -> Step:
    nonces = [session.nonce() for _ in range(session.random.randint(2, 4))]
    answers: list[Reply] = []
    for one in nonces:
        answers += [DESCRIBED, row(one), complete("SELECT 1")]
    sql = "; ".join(f"SELECT '{one}'" for one in nonces)
    return Step("multi", query(sql), [*answers, ready(status)], nonces=len(nonces))


def notices(session: Session, status: str) -> Step:
    mine = session.nonce()
    sql = f"DO $$ BEGIN RAISE NOTICE '{mine}'; END $$"
    return Step("notice", query(sql), [notice(mine), complete("DO"), ready(status)])


def copy_out(session: Session, status: str) -> Step:
    mine = session.nonce()
    count = session.random.randint(1, 5)
    sql = f"COPY (SELECT '{mine}', i FROM generate_series(1, {count}) i) TO STDOUT"
    data = [reply("d", f"{mine}\t{number + 1}\n".encode()) for number in range(count)]
    return Step("copy out", query(sql), [COPY_OUT, *data, COPY_DONE, complete(f"COPY {count}"), ready(status)])


def big(session: Session, status: str) -> Step:
    mine = session.nonce()
    sql = f"SELECT '{mine}' || repeat('x', {BIG})"
    return Step("big row", query(sql), [DESCRIBED, row(mine + "x" * BIG), complete("SELECT 1"), ready(status)])


def in_zone(session: Session, status: str) -> Step:
    """A function that sets a reported parameter for its transaction only, where nobody sees it in the text."""
    mine = session.nonce()
    sql = f"SELECT nonce_in_zone('{mine}', 'Pacific/Auckland')"
    answer = row(f"{mine} in Pacific/Auckland")
    return Step("function", query(sql), [DESCRIBED, answer, complete("SELECT 1"), ready(status)])


def whose(session: Session, status: str) -> Step:
    """A name that means another function in each client's search_path."""
    mine = session.nonce()
    schema = f"lab_{session.client % SCHEMAS}"
    answers = [DESCRIBED, row(f"{mine} of {schema}"), complete("SELECT 1"), ready(status)]
    return Step("search_path", query(f"SELECT whose('{mine}')"), answers, needs=REPLAYED)


def settings(session: Session, status: str) -> Step:
    """Every setting that the client has, as the server has it."""
    mine = session.nonce()
    known = [(name, value) for name, value in session.settings.items() if value is not None]
    known = [one for one in known if one[0] != "work_mem" or SESSION_SET in session.can]
    columns = ", ".join(f"current_setting('{name}')" for name, _ in known)
    answer = row(mine, *(value for _, value in known))
    answers = [DESCRIBED, answer, complete("SELECT 1"), ready(status)]
    return Step("settings", query(f"SELECT '{mine}', {columns}"), answers)


def show(session: Session, status: str) -> Step:
    """SHOW of one setting; it has no room for a nonce."""
    names = [name for name in session.settings if _known(session, name) is not None]
    name = session.random.choice([one for one in names if one != "work_mem"])
    answers = [DESCRIBED, row(_known(session, name)), complete("SHOW"), ready(status)]
    return Step("show", query(f"SHOW {name}"), answers, nonces=0)


# --- extended protocol ------------------------------------------------------------------------------------------


def unnamed(session: Session, status: str) -> Step:
    mine = session.nonce()
    sent = parse("SELECT $1::text, pg_backend_pid()") + bind("", [mine.encode()]) + describe("P") + execute() + SYNC
    answers = [PARSED, BOUND, DESCRIBED, row_starting(mine, columns=2), complete("SELECT 1"), ready(status)]
    return Step("unnamed", sent, answers)


def named(session: Session, status: str) -> Step:
    """A statement under a name that other clients use for other statements: parsed once, then used and used again."""
    mine = session.nonce()
    name = session.random.choice(NAMES)
    if name in session.statements and session.random.random() > KEPT_PER_NAME:
        return _close_named(session, status, name)
    sent, answers = b"", []
    if name not in session.statements:
        session.statements[name] = constant = f"{name} of {session.client} since {session.serial:x}"
        sent, answers = parse(f"SELECT $1::text, '{constant}'::text", name), [PARSED]
    sent += bind(name, [mine.encode()]) + execute() + SYNC
    answers += [BOUND, row(mine, session.statements[name]), complete("SELECT 1"), ready(status)]
    return Step("named", sent, answers, needs=NAMED)


def _close_named(session: Session, status: str, name: str) -> Step:
    del session.statements[name]
    return Step("close", close("S", name) + SYNC, [CLOSED, ready(status)], nonces=0, needs=NAMED)


def described(session: Session, status: str) -> Step:
    """Parse, Describe and use of a statement whose name ends with it."""
    mine = session.nonce()
    name = f"once {session.serial}"
    sent = parse(f"SELECT '{mine}'::text", name) + describe("S", name) + bind(name) + execute() + close("S", name)
    answers = [PARSED, reply("t"), DESCRIBED, BOUND, row(mine), complete("SELECT 1"), CLOSED, ready(status)]
    return Step("described", sent + SYNC, answers)


def cursor(session: Session, status: str) -> Step:
    """A portal read two rows at a time, by several Execute of one batch."""
    mine = session.nonce()
    sent = parse("SELECT $1::text || i FROM generate_series(1, 5) i") + bind("", [mine.encode()], mine)
    sent += execute(mine, 2) * 3 + SYNC
    rows = [row(f"{mine}{number}") for number in range(1, 6)]
    answers = [PARSED, BOUND, *rows[:2], SUSPENDED, *rows[2:4], SUSPENDED, rows[4], complete("SELECT 1")]
    return Step("cursor", sent, [*answers, ready(status)])


def nothing(session: Session, status: str) -> Step:
    """A statement without rows, described; and an empty one."""
    mine = session.nonce()
    sent = parse(f"DO $$ BEGIN RAISE NOTICE '{mine}'; END $$") + bind() + describe("P") + execute()
    sent += parse("") + bind() + execute() + SYNC
    answers = [PARSED, BOUND, NO_DATA, notice(mine), complete("DO"), PARSED, BOUND, reply("I", b""), ready(status)]
    return Step("no rows", sent, answers)


# --- errors, which end a transaction ------------------------------------------------------------------------------


def _after_error(status: str) -> Reply:
    return ready("I" if status == "I" else "E")


def cast_error(session: Session, status: str) -> Step:
    """The nonce comes back in the text of an error."""
    mine = session.nonce()
    return Step("error", query(f"SELECT '{mine}'::int"), [error("22P02", mine), _after_error(status)])


def extended_error(session: Session, status: str) -> Step:
    """An error at Execute; the rest of the batch is skipped, and answered by nothing."""
    mine = session.nonce()
    late = "SELECT ($1::text || left(random()::text, 0))::int"  # volatile, or planning at Bind would find the error
    sent = parse(late) + bind("", [mine.encode()]) + execute()
    sent += parse("SELECT 'skipped'") + bind() + execute() + SYNC
    return Step("extended error", sent, [PARSED, BOUND, error("22P02", mine), _after_error(status)])


def parse_error(session: Session, status: str) -> Step:
    mine = session.nonce()
    sent = parse(f'SELECT "{mine}"', f"failed {session.serial}") + describe("S", f"failed {session.serial}") + SYNC
    return Step("parse error", sent, [error("42703", mine), _after_error(status)])


def late_error(session: Session, status: str) -> Step:
    """Rows first, then the error."""
    mine = session.nonce()
    sql = f"SELECT '{mine}', 1 / (3 - i) FROM generate_series(1, 5) i"
    rows = [DESCRIBED, row(mine, "0"), row(mine, "1")]
    return Step("late error", query(sql), [*rows, error("22012"), _after_error(status)])


def malformed(session: Session, status: str) -> Step:
    """A Bind that has one parameter too few."""
    mine = session.nonce()
    sent = parse(f"SELECT $1::text, $2::text, '{mine}'") + bind("", [b"1"]) + execute() + SYNC
    return Step("malformed bind", sent, [PARSED, error("08P01"), _after_error(status)])


GOOD: Mapping[Atom, float] = {
    simple: 30,
    unnamed: 12,
    named: 16,
    cursor: 3,
    copy_out: 3,
    multi: 4,
    notices: 3,
    in_zone: 3,
    whose: 3,
    settings: 6,
    show: 2,
    described: 3,
    nothing: 2,
}
FAILING: Mapping[Atom, float] = {cast_error: 3, extended_error: 3, parse_error: 1, late_error: 2, malformed: 1}


IN_BLOCK = {atom: weight for atom, weight in GOOD.items() if atom is not in_zone}
"""In a transaction a setting made for it would stay to its end, and be seen by the atoms behind."""
NEEDS: Mapping[Atom, str] = {named: NAMED, whose: REPLAYED}
