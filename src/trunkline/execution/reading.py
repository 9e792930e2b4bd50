"""What a text is for its session, beside its plan: the begin or end of a block, a part of it that may be said again.

Only few forms are looked at here; what has none of these is a server's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trunkline.execution.local_settings import is_of_settings
from trunkline.execution.positions import is_set, is_shown
from trunkline.routing.plans.plan import RoutePlan, Verdict

_BLANK = rb"(?:\s|--[^\r\n]*|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/)"


def _form(pattern: bytes) -> re.Pattern[bytes]:
    """A whole statement; a blank in `pattern` is any blank of SQL."""
    return re.compile(_BLANK + rb"*" + pattern.replace(b" ", _BLANK + rb"+") + rb"(?:%b|;)*" % _BLANK, re.I | re.DOTALL)


_BEGIN = _form(rb"(?:(?P<begin>begin)(?: work| transaction)?|start transaction)(?: [a-z,]+)*")
_LEVEL = re.compile(
    rb"isolation%b+level%b+(?:(serializable)|(repeatable)%b+read|(read)%b+(?:un)?committed)" % ((_BLANK,) * 4),
    re.IGNORECASE,
)
_END = _form(rb"(?:(?P<commit>commit|end)|rollback|abort)(?: work| transaction)?(?: and no chain)?")
_CHAINED = _form(rb"(?:(?P<commit>commit|end)|rollback|abort)(?: work| transaction)? and chain")
_ROLLS_BACK_TO = _form(rb"rollback(?: work| transaction)? to\b[^;]*")
_MAY_END = re.compile(_BLANK + rb"*(?:rollback|abort|commit|end|prepare%b+transaction)\b" % _BLANK, re.IGNORECASE)
_SAID_AGAIN = _form(rb"(?:set (?:local|transaction)|savepoint|release|rollback(?: work| transaction)? to)\b[^;]*")
_EXECUTES = re.compile(rb"\bexecute\b", re.IGNORECASE)
_LISTENS = re.compile(rb"\b(?:un)?listen\b", re.IGNORECASE)
_INSERTS = re.compile(rb"\b(?:insert|merge|copy)\b", re.IGNORECASE)
_TWO_PHASES = _form(rb"(?:prepare transaction|(?:commit|rollback) prepared)\b[^;]*")
_TEMPORARY = _form(rb"create (?:local |global )?temp(?:orary)? table [^;]*")
_SHOW = _form(rb"show\b[^;]*")
_EXPLAIN_ROUTE = re.compile(rb"%b*explain%b*\(%b*route%b*\)%b*(?P<sql>.*)" % ((_BLANK,) * 5), re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reading:
    """One text. `tag` is that of a statement which begins or ends a block and does nothing else."""

    plan: RoutePlan
    tag: str = ""
    reads_only: bool | None = None  # of the beginning of a block: whether it says so; None: it says nothing
    isolation: str = ""  # of that: the first word of the level that it says, in lower case
    repeatable: bool = False  # a block in which only such statements ran may begin anew elsewhere
    said_again: bool = False  # and this one is part of how it begins
    executes: bool = False  # it may run a statement that was prepared, whose text it does not show
    listens: bool = False  # LISTEN or UNLISTEN
    inserts: bool = False  # it may put rows where there were none
    two_phases: bool = False  # it ends a transaction, or prepares that: no schema changes what it means
    temporary: bool = False  # it makes a table that only its own session sees
    shows_position: bool = False  # its answer is the token of what its client has written (positions.py)
    takes_position: bool = False  # it says such a token
    is_catalog: bool = False  # it only reads the system's catalogs, which every shard has
    chained: str = ""  # the tag of one that ends a block and begins another
    of_settings: bool = False  # it sets something until the end of its transaction, and does nothing else


def read(sql: bytes, plan: RoutePlan) -> Reading:
    """What a text with this plan is for its session."""
    if is_shown(sql) or is_set(sql):
        return Reading(plan, repeatable=True, shows_position=is_shown(sql), takes_position=is_set(sql))
    if _TWO_PHASES.fullmatch(sql):
        return Reading(plan, two_phases=True)
    if plan.verdict is Verdict.ANYWHERE:
        return Reading(
            plan,
            repeatable=not plan.volatile and not plan.writes,
            of_settings=plan.configures and is_of_settings(sql),
        )
    if plan.verdict is Verdict.HOME:
        only_reads = not plan.writes and not plan.volatile and not any(found.writes for found in plan.occurrences)
        catalog = only_reads and bool(plan.occurrences) and all(found.kind == "system" for found in plan.occurrences)
        executes, temporary = _EXECUTES.search(sql) is not None, _TEMPORARY.fullmatch(sql) is not None
        return Reading(
            plan,
            repeatable=catalog,
            executes=executes,
            inserts=plan.writes,
            is_catalog=catalog,
            temporary=temporary,
        )
    if plan.verdict is not Verdict.SESSION:
        return Reading(plan, inserts=plan.writes and _INSERTS.search(sql) is not None)
    if begun := _BEGIN.fullmatch(sql):
        tag = "BEGIN" if begun["begin"] else "START TRANSACTION"
        return Reading(plan, tag, _reads_only(sql), _isolation(sql), repeatable=True, said_again=True)
    if ended := _END.fullmatch(sql):
        return Reading(plan, "COMMIT" if ended["commit"] else "ROLLBACK")
    if chained := _CHAINED.fullmatch(sql):
        return Reading(plan, chained="COMMIT" if chained["commit"] else "ROLLBACK")
    if _EXECUTES.search(sql):
        return Reading(plan, executes=True)
    if _LISTENS.search(sql):
        return Reading(plan, listens=True)
    again = _SAID_AGAIN.fullmatch(sql) is not None
    return Reading(plan, repeatable=again or _SHOW.fullmatch(sql) is not None, said_again=again)


def only_reads(sql: bytes) -> bool:
    """Whether this begins a transaction that a replica may run, whatever the defaults of its session are."""
    return _BEGIN.fullmatch(sql) is not None and _reads_only(sql) is True and _isolation(sql) != "serializable"


def rolls_back_to(sql: bytes) -> bool:
    """Whether it ends what has come since a savepoint."""
    return _ROLLS_BACK_TO.fullmatch(sql) is not None


def may_end_a_failed_block(sql: bytes) -> bool:
    """Whether a block that has failed hears this (postgres.c, IsTransactionExitStmt)."""
    return _MAY_END.match(sql) is not None


def _reads_only(begin: bytes) -> bool | None:
    return None if b"read" not in _LEVEL.sub(b"", begin).lower() else b"write" not in begin.lower()


def _isolation(begin: bytes) -> str:
    found = _LEVEL.search(begin)
    return found[found.lastindex or 0].decode().lower() if found is not None else ""


def explained_by(sql: bytes) -> bytes | None:
    """The statement behind `EXPLAIN (ROUTE)`, or None."""
    found = _EXPLAIN_ROUTE.match(sql) if b"route" in sql[:200].lower() else None
    return found["sql"] if found else None


def ends_block(reading: Reading | None) -> str:
    """The tag of what ends a block, perhaps to begin another one; empty: it does not."""
    if reading is None:
        return ""
    return reading.chained or (reading.tag if reading.tag in ("COMMIT", "ROLLBACK") else "")


def chains(reading: Reading | None) -> bool:
    """Whether another block begins where one ends."""
    return reading is not None and bool(reading.chained)
