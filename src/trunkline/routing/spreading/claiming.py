"""SELECT ... LIMIT n FOR UPDATE and its like over several shards: which rows are the n, and how just these are locked.

With ORDER BY the shards are asked for their rows in that order, without a lock; the first n of all are then locked by
where they lie (ctid), and for those that somebody else has the next ones are taken. So no row is ever locked that is
not given. Without ORDER BY each shard locks as it gives, one shard after the other, until there are n.

A row that has changed between both steps lies elsewhere, and is not found: for SKIP LOCKED that is a row whose changer
had it locked a moment before; everybody else begins anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from trunkline.routing.keys.sharding import Kind
from trunkline.routing.planning.facts import TooComplex
from trunkline.routing.planning.scopes import Scope
from trunkline.routing.plans.plan import Refusal, Verdict
from trunkline.routing.spreading.blocks import Binder
from trunkline.routing.spreading.clauses import Token, same_tree, tokenize
from trunkline.routing.spreading.merge import Merge
from trunkline.routing.spreading.merging import Shape
from trunkline.routing.spreading.moments import asks_time, cut, filled, places_of
from trunkline.routing.spreading.quoting import full, identifier
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.sorting import Asked
from trunkline.routing.spreading.tables import source
from trunkline.routing.spreading.unsure import Unsure
from trunkline.routing.sql import Node, Unparsed, parse_any

TIME = b"1999-12-31 23:59:59.271828+00"  # stands for the time of the transaction
_LIMITS = (b"limit", b"offset", b"fetch")
_HINT = "Select the keys first, and lock the rows by them."


class Waits(Enum):
    """What becomes of a row that somebody else has locked."""

    BLOCK = "LockWaitBlock"
    SKIP = "LockWaitSkip"
    ERROR = "LockWaitError"


@dataclass(eq=False, slots=True)
class Claim:
    """`merge` gives the rows, in order if it has keys, without a lock; their last hidden column is their ctid."""

    merge: Merge
    table: bytes  # as it stands in FROM, with its alias
    name: bytes  # by which its columns are named there
    targets: bytes  # what the client selects
    locks: bytes  # FOR UPDATE ...
    waits: Waits
    asks_time: bool
    known: dict[tuple[int, ...], Any] = field(default_factory=dict)  # the shards' columns, by the types of parameters

    def sql(self, time: bytes) -> bytes:
        """What each shard is asked for."""
        said = self.merge.sql.replace(TIME, time) if self.asks_time else self.merge.sql
        return said if self.merge.keys else said + b" " + self.locks

    def locking(self, places: Sequence[bytes]) -> bytes:
        """Lock the rows that lie there, and say which of them could be; one that has moved meanwhile is left out."""
        return b"SELECT %b.ctid FROM %b WHERE %b %b" % (self.name, self.table, self.lies(places), self.locks)

    def lies(self, places: Sequence[bytes]) -> bytes:
        """The condition that a row lies in one of these places: the second half holds for its latest version, too."""
        array = b"'{%b}'" % b",".join(b'"%b"' % place for place in places)
        return (
            b"%(name)b.ctid OPERATOR(pg_catalog.=) ANY (%(array)b::pg_catalog.tid[]) AND %(name)b.ctid::pg_catalog.text"
            b" OPERATOR(pg_catalog.=) ANY (%(array)b::pg_catalog.text[])" % {b"name": self.name, b"array": array}
        )


def plan(request: Request) -> Claim | Refusal | None:
    """How a SELECT with a limit locks its rows; None if it is none of these."""
    if request.kind != "SelectStmt" or not concerns(request.node):
        return None
    try:
        return _plan(request)
    except Unsure as reason:
        return Refusal(f"With a LIMIT it does not lock the rows that it gives: {reason}.", _HINT)
    except (LookupError, StopIteration, RecursionError, TooComplex, Unparsed):
        return Refusal("With a LIMIT, its locks are not understood.", _HINT)


def concerns(node: Node) -> bool:
    """Whether a SELECT locks rows, and not all that it could give."""
    return "lockingClause" in node and ("limitCount" in node or "limitOffset" in node)


def _plan(request: Request) -> Claim:
    route = request.plan
    if route.verdict is not Verdict.ROUTED or route.refusal or route.writes:
        raise Unsure("it is no query of sharded tables")
    bare, locks = parted(request.sql, request.node)
    timed, bare = bare, _at_one_time(request, bare)
    request = replace(request, sql=bare, node=_only(bare))
    table, alias = _table(request)
    analysis = request.analysis()
    if not analysis.trusts_names:
        raise Unsure("names of PostgreSQL's own may mean something else")
    binder, scope = Binder(analysis, source), Scope()
    shape = Shape(bare, binder.block(request.node, scope, None), binder)
    name = identifier(alias).encode()
    fields = [{"String": {"sval": part}} for part in (alias, "ctid")]
    merge = shape.placed(Asked(name + b".ctid", {"ColumnRef": {"fields": fields}}))
    if merge.limits.ties:
        raise Unsure("WITH TIES")
    targets = b", ".join(shape.targets)
    return Claim(merge, table, name, targets, locks, _waits(request, locks), asks_time=timed != bare)


def _only(sql: bytes) -> Node:
    ((kind, node),) = parse_any(sql)
    if kind != "SelectStmt":
        raise Unsure("it is no SELECT")
    return node


def parted(sql: bytes, node: Node) -> tuple[bytes, bytes]:
    """The statement without its locks, which may stand before its limit or behind it; and their text."""
    tokens = tokenize(sql)
    first = next((at for at in range(1, len(tokens)) if _is_for(tokens, at)), None)
    if first is None:
        raise Unsure("the text of its locks is not found")
    behind = [one.start for one in tokens[first:] if one.depth == 0 and one.text in _LIMITS]
    end = behind[0] if behind else tokens[-1].end
    bare = sql[: tokens[first].start] + sql[end : tokens[-1].end]
    last = next(one.end for one in reversed(tokens) if one.end <= end)
    if not same_tree({**_only(bare), "lockingClause": node["lockingClause"]}, node):
        raise Unsure("the text of its locks is not understood")
    return bare, sql[tokens[first].start : last]


def _is_for(tokens: list[Token], at: int) -> bool:
    return tokens[at].text == b"for" and tokens[at].depth == 0 and tokens[at - 1].text not in (b".", b"as")


def _at_one_time(request: Request, bare: bytes) -> bytes:
    """The text with a constant where it asks for the time of its transaction."""
    places = places_of(request.analysis(), bare, _only(bare))
    if isinstance(places, Refusal) or TIME in bare:
        raise Unsure("it asks for what each shard has of its own")
    template = cut(bare, 0, len(bare), places)
    return filled(template, TIME) if asks_time([template]) else bare


def _table(request: Request) -> tuple[bytes, str]:
    """The one table in FROM with its name there, and that."""
    items, analysis = request.node.get("fromClause", ()), request.analysis()
    if len(items) != 1 or "RangeVar" not in items[0] or "withClause" in request.node:
        raise Unsure("it reads more than one table")
    node = items[0]["RangeVar"]
    found = analysis.find(node.get("schemaname"), node["relname"])
    relation = found.relation
    if relation is None or relation.kind != "r" or found.rule.kind is not Kind.SHARDED:
        raise Unsure(f"{found.full_name} is no sharded table by itself")
    children = (one for one in request.catalog.relations.values() if one.parent == (found.schema, found.name))
    if next(children, None) is not None:
        raise Unsure(f"{found.full_name} has partitions or children")
    if "colnames" in node.get("alias", {}):
        raise Unsure("its columns have other names")
    alias = node.get("alias", {}).get("aliasname", "") or node["relname"]
    return f"{full(relation.schema, relation.name)} AS {identifier(alias)}".encode(), alias


def _waits(request: Request, locks: bytes) -> Waits:
    """Of its one locking clause, which has to be of its one table."""
    clauses = _only(request.sql + b" " + locks)["lockingClause"]
    if len(clauses) != 1:
        raise Unsure("it has several locking clauses")
    return Waits(clauses[0]["LockingClause"]["waitPolicy"])
