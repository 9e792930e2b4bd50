"""What differs from shard to shard in an expression though one PostgreSQL gives it once: the clock of a transaction.

`now()` and its like are the beginning of a transaction, of which each shard has its own. They are taken from one shard
and written into the texts of all. What depends on the server in another way (its process, its port) is refused.
A function that gives another value at each call may do so anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trunkline.routing.planning.analysis import Analysis
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema.catalog import Function
from trunkline.routing.sql import Node, walk
from trunkline.routing.text.tokens import tokens_of

_CLOCK = frozenset(("now", "transaction_timestamp"))
# Each shard would give its own.
_OF_SERVER = frozenset(
    [
        "current_database",
        "inet_server_addr",
        "inet_server_port",
        "pg_backend_pid",
        "pg_conf_load_time",
        "pg_current_snapshot",
        "pg_current_wal_lsn",
        "pg_current_xact_id",
        "pg_current_xact_id_if_assigned",
        "pg_database_size",
        "pg_is_in_recovery",
        "pg_postmaster_start_time",
        "pg_relation_size",
        "pg_total_relation_size",
        "statement_timestamp",
        "txid_current",
        "txid_current_if_assigned",
        "txid_current_snapshot",
        "version",
    ]
)
_VALUES = {  # of SQLValueFunction: what is made of the one time
    "SVFOP_CURRENT_DATE": b"::pg_catalog.date",
    "SVFOP_CURRENT_TIMESTAMP": b"",
    "SVFOP_CURRENT_TIMESTAMP_N": b"::pg_catalog.timestamptz(%d)",
    "SVFOP_LOCALTIMESTAMP": b"::pg_catalog.timestamp",
    "SVFOP_LOCALTIMESTAMP_N": b"::pg_catalog.timestamp(%d)",
}
_SAME = frozenset(("SVFOP_CURRENT_ROLE", "SVFOP_CURRENT_USER", "SVFOP_USER", "SVFOP_SESSION_USER"))
_HIDDEN = re.compile(
    r"\b(?:now|current_(?:date|time|timestamp|catalog|database)|localtime(?:stamp)?|statement_timestamp"
    r"|transaction_timestamp|txid_\w+|today|tomorrow|yesterday|pg_backend_pid|pg_current_\w+)\b",
    re.IGNORECASE,
)
_NOW = re.compile(  # an input of the types of time: what may stand before the word there is passed over (datetime.c)
    r"(?:[\W\d_]|\b(?:am|pm|ad|bc|at|on|z|utc|gmt|(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6})\b)*"
    r"(?:now|today|tomorrow|yesterday)\b",
    re.IGNORECASE,
)
_TIMES = frozenset(("date", "time", "timetz", "timestamp", "timestamptz"))
_OF_TIMES = re.compile(r"_?(?:date|timetz|time|timestamptz|timestamp|(?:date|ts|tstz)(?:multi)?range)")
_ONE_CLOCK = "Give the time as a parameter, or name the key of every sharded table."


@dataclass(frozen=True, slots=True)
class Moment:
    """A place for the time, `cast` to what was asked for."""

    cast: bytes = b""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a text a Moment stands."""

    start: int
    end: int
    moment: Moment


Template = tuple[bytes | Moment, ...]


def filled(template: Template, time: bytes) -> bytes:
    """The text, with the time of a transaction in its places: as PostgreSQL reads a timestamptz."""
    return b"".join(
        [b"(timestamptz '" + time + b"'" + one.cast + b")" if isinstance(one, Moment) else one for one in template]
    )


def cut(sql: bytes, start: int, end: int, places: Sequence[Place]) -> Template:
    """A part of a text with its moments."""
    parts: list[bytes | Moment] = []
    for place in places:
        if start <= place.start and place.end <= end:
            parts += [sql[start : place.start], place.moment]
            start = place.end
    return (*parts, sql[start:end])


def asks_time(templates: Sequence[Template]) -> bool:
    return any(isinstance(one, Moment) for template in templates for one in template)


def places_of(analysis: Analysis, sql: bytes, node: Node) -> list[Place] | Refusal:
    """Where in a statement's text the time of its transaction stands, in order."""
    places = []
    for name, value in walk(node):
        found: Place | Refusal | None = None
        if name == "FuncCall":
            found = _of_call(analysis, sql, value)
        elif name == "SQLValueFunction":
            found = _of_value(sql, value)
        if isinstance(found, Refusal):
            return found
        if found is not None:
            places.append(found)
    return sorted(places, key=lambda place: place.start)


def _of_call(analysis: Analysis, sql: bytes, node: Node) -> Place | Refusal | None:
    names = [part["String"].get("sval", "") for part in node["funcname"]]
    schema, name = (names[-2] if len(names) > 1 else None), names[-1]
    own = [
        one for one in analysis.catalog.find_functions(schema, name, analysis.search_path) if one.schema != "pg_catalog"
    ]
    for one in own:
        if one.volatility != "i" and hides_time(one):
            return _refused(f"The function {one.schema}.{one.name}()")
    if own:
        return None
    if name in _OF_SERVER or (name == "age" and len(node.get("args", ())) == 1):  # which counts from today
        return _refused(f"{name}()")
    if name not in _CLOCK or node.get("args"):
        return None
    start = node.get("location", 0)
    tokens = _tokens(sql, start)
    for kind, _, end in tokens:
        if kind == "other" and sql[end - 1 : end] == b")":
            return Place(start, end, Moment())
    return _refused(f"{name}()")


def hides_time(function: Function) -> bool:
    """Whether somebody's function may ask for what differs from shard to shard."""
    return function.language not in ("sql", "plpgsql") or _HIDDEN.search(function.body) is not None


def _of_value(sql: bytes, node: Node) -> Place | Refusal | None:
    op = node.get("op", "")
    if op in _SAME:
        return None
    cast = _VALUES.get(op)
    start = node.get("location", 0)
    ends = [(kind, end) for kind, _, end in _tokens(sql, start)]
    if cast is None:
        return _refused(sql[start : ends[0][1]].decode(errors="replace").upper())
    if b"%d" not in cast:
        return Place(start, ends[0][1], Moment(cast))
    return Place(start, ends[3][1], Moment(cast % node.get("typmod", 0)))


def _tokens(sql: bytes, start: int) -> list[tuple[str, int, int]]:
    """The first tokens from here on: a name with its schema and two parentheses has no more."""
    return [(kind, start + first, start + last) for kind, first, last in tokens_of(sql[start : start + 400])]


def _refused(what: str) -> Refusal:
    return Refusal(f"{what} may give another value on each shard.", _ONE_CLOCK)


def is_of_time(type: str) -> bool:
    """Whether a value of this type, by its name in pg_type, may be given by a word for the time."""
    return _OF_TIMES.fullmatch(type) is not None


def says_now(text: str) -> bool:
    """Whether a constant, or a parameter, may mean the time at which it is read."""
    return _NOW.match(text) is not None


# --- where nobody looks -----------------------------------------------------------------------------------------------


def hidden_time(analysis: Analysis, node: Node, columns: Iterator[str], triggers: Sequence[Function]) -> Refusal | None:
    """Whether a statement takes the time without a call: from a word in quotes, or in a trigger."""
    if any(type in _TIMES for type in columns):
        for name, value in walk(node):
            text = value.get("sval", {}).get("sval", "") if name == "A_Const" else ""
            if says_now(text):
                return _refused(f"'{text}'")
    for trigger in triggers:
        if hides_time(trigger):
            return _refused(f"The trigger function {trigger.schema}.{trigger.name}()")
    return None
