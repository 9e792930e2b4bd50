"""Ids in a statement: calls about sequences, defaults that draw from one, and the generators of ours.

There is one of a sequence, on the home shard. A statement that may run elsewhere has what it draws written into it
first (routing/spreading/drawing.py), and so has what asks for the last value, which is the client's and no server's.
`RoutePlan.draws` says so. What runs at home alone is left to PostgreSQL, and `RoutePlan.ids` says which sequences that
advances.

`Facts.draws` holds pairs: a function's name with the sequence that it names; "default" with the table whose default
draws, "generated" with the same if it calls a generator of ours; "hidden" with the function in whose body it is done;
"generator" with the name of one of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from trunkline.routing.planning.analysis import Analysis, Found
from trunkline.routing.planning.facts import Facts
from trunkline.routing.planning.programs import definition
from trunkline.routing.plans.plan import Refusal, RoutePlan, Verdict
from trunkline.routing.schema.catalog import Relation
from trunkline.routing.sql import Node, walk

GENERATORS = frozenset(("uuid7", "snowflake"))
SCHEMA = "trunkline"  # of the generators, whether a database has functions of that name or not
SEQUENCE_CALLS = frozenset(("nextval", "currval", "setval", "lastval"))
READS = frozenset(("currval", "lastval"))
UNKNOWN = "?"  # some sequence
SET = "="  # before one to which setval() gives a value
FORGOTTEN = "-"  # DISCARD: the session has used none
RESTARTED = "*"  # TRUNCATE ... RESTART IDENTITY: any of them may begin anew

_STATEMENTS = frozenset(("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CopyStmt"))
_DISCARDS = frozenset(("DISCARD_ALL", "DISCARD_SEQUENCES"))
_NOT_RELAYED = Refusal(
    "It takes ids of a sequence that all shards have in common, which is not done for a client that keeps its server.",
    "Use transaction pooling, or give the ids as values.",
)
_PART = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*))\s*(?:\.|$)')


def name_parts(text: str) -> tuple[str | None, str] | None:
    """Schema and name of a text that is cast to regclass; None if it is no such name."""
    parts: list[str] = []
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None:
            return None
        parts.append(found[1].replace('""', '"') if found[1] is not None else found[2].lower())
        at = found.end()
    if not 1 <= len(parts) <= 2 or text.rstrip().endswith("."):
        return None
    return (parts[0] if len(parts) > 1 else None), parts[-1]


def quoted(relation: Relation) -> str:
    """The name by which a sequence is known here, which is one of SQL."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in (relation.schema, relation.name))


def names_of(node: Node) -> tuple[str | None, str]:
    """Schema and name of a called function."""
    names = [part["String"].get("sval", "") for part in node["funcname"]]
    return (names[-2] if len(names) > 1 else None), names[-1]


def is_generator(schema: str | None, name: str) -> bool:
    return schema == SCHEMA and name in GENERATORS


def is_sequence_call(schema: str | None, name: str) -> bool:
    return schema in (None, "pg_catalog") and name in SEQUENCE_CALLS


def sequence_of(analysis: Analysis, node: Node) -> str | None:
    """The sequence that a call names; UNKNOWN if it is not written out, None if the catalog has none of this name."""
    arguments = node.get("args", ())
    wrapped = arguments[0] if arguments else {}
    while "TypeCast" in wrapped:
        wrapped = wrapped["TypeCast"]["arg"]
    text = wrapped.get("A_Const", {}).get("sval", {}).get("sval")
    if text is None:
        return UNKNOWN
    parts = name_parts(text)
    found = analysis.catalog.find_relation(*parts, analysis.search_path) if parts is not None else None
    return quoted(found) if found is not None and found.kind == "S" else None


def on_generator(analysis: Analysis, name: str) -> None:
    """A call of a generator of ours."""
    analysis.facts.volatile = analysis.facts.differs = True
    analysis.facts.draws.append(("generator", name))


def on_sequence(analysis: Analysis, name: str, node: Node) -> None:
    """A call of PostgreSQL's own about a sequence that all shards have in common, or about the last one."""
    if name not in SEQUENCE_CALLS:
        return
    sequence = "" if name == "lastval" else sequence_of(analysis, node)
    if sequence is not None:
        analysis.facts.draws.append((name, sequence))
        if name in ("nextval", "setval"):
            analysis.facts.advances[sequence if name == "nextval" else SET + sequence] = None


@contextmanager
def note_default(facts: Facts, table: str) -> Iterator[None]:
    """What is drawn while a default is read is drawn for a row of this table."""
    before, facts.draws = facts.draws, []
    try:
        yield
    finally:
        drawn, facts.draws = facts.draws, before
        facts.draws += [(kind, table) for kind in _kinds(drawn)]


def _kinds(drawn: Sequence[tuple[str, str]]) -> list[str]:
    """Those under which it is noted what a default draws."""
    generates = any(kind == "generator" for kind, _ in drawn)
    return ["default", "generated"] if generates else ["default"] if drawn else []


def note_hidden(facts: Facts, inner: Facts, name: str) -> None:
    """What the body of a function draws."""
    if inner.draws:
        facts.draws.append(("hidden", name))
        facts.advances |= inner.advances


def note_defaults_of(analysis: Analysis, node: Node) -> None:
    """The word DEFAULT as the value of a column whose default draws; OVERRIDING USER VALUE means it for any value."""
    parts = [node, *(value for name, value in walk(node) if name == "MergeWhenClause")]
    overrides = any(one.get("override") == "OVERRIDING_USER_VALUE" for one in parts)
    if not overrides and not any(name == "SetToDefault" for name, _ in walk(node)):
        return
    target = node["relation"]
    found = analysis.find(target.get("schemaname"), target["relname"])
    note_missing(analysis, found, found.columns if overrides else _set_to_default(found, node))


def note_missing(analysis: Analysis, found: Found, columns: Iterable[str]) -> None:
    """Columns of a table that get their defaults."""
    for name in columns:
        column = found.relation.column(name) if found.relation is not None else None
        if column is not None and draws(analysis, column.default):
            inner = draws_of(analysis, column.default)
            analysis.facts.draws += [(kind, found.full_name) for kind in _kinds(inner.draws)]
            analysis.facts.advances |= inner.advances


def with_values(columns: list[str] | None, node: Node) -> list[str] | None:
    """The columns of an INSERT without those at the end for which no row has a value; of a query, all."""
    select = node.get("selectStmt", {}).get("SelectStmt")
    if "cols" in node or columns is None or (select is not None and "valuesLists" not in select):
        return columns
    return columns[: len(select["valuesLists"][0]["List"].get("items", ()))] if select is not None else []


def _set_to_default(found: Found, node: Node) -> Iterator[str]:
    select = node.get("selectStmt", {}).get("SelectStmt", {})
    columns = [one["ResTarget"].get("name", "") for one in node.get("cols", ())] or list(found.columns)
    for row in select.get("valuesLists", ()):
        yield from (
            name for name, value in zip(columns, row["List"].get("items", ()), strict=False) if "SetToDefault" in value
        )
    for name, value in walk(node):
        if name == "ResTarget" and "SetToDefault" in value.get("val", {}):
            yield value.get("name", "")
        elif name == "MergeWhenClause":
            targets = [one["ResTarget"].get("name", "") for one in value.get("targetList", ())] or list(found.columns)
            given = value.get("values", ())
            yield from (one for one, what in zip(targets, given, strict=False) if "SetToDefault" in what)


def draws_of(analysis: Analysis, default: str | None) -> Facts:
    """What a default does, apart from the statement."""
    scratch = analysis.apart()
    parsed = definition(f"SELECT {default}") if default is not None and "(" in default else None
    if parsed is not None:
        inner = scratch.inside(f"SELECT {default}", analysis.search_path)
        inner.bind_statement(inner, *parsed)
    return scratch.facts


def draws(analysis: Analysis, default: str | None) -> bool:
    """Whether a default draws an id."""
    return bool(draws_of(analysis, default).draws)


def is_drawn(analysis: Analysis, found: Found, key: Sequence[str], columns: Sequence[str], row: list[Node]) -> bool:
    """Whether a column of a row's key is an id that is drawn, or that was drawn last."""
    for name in key:
        place = list(columns).index(name) if name in columns else len(row)
        if place < len(row) and "FuncCall" in row[place]:
            schema, called = names_of(row[place]["FuncCall"])
            if is_generator(schema, called):
                return True
            if is_sequence_call(schema, called) and sequence_of(analysis, row[place]["FuncCall"]) is not None:
                return True
        elif place >= len(row) or "SetToDefault" in row[place]:
            column = found.relation.column(name) if found.relation is not None else None
            if column is not None and draws(analysis, column.default):
                return True
    return False


# --- the plan ---------------------------------------------------------------------------------------------------------


def with_ids(analysis: Analysis, statements: Sequence[tuple[str, Node]], plan: RoutePlan) -> RoutePlan:
    """The plan of statements, with what is to be done about ids."""
    words = tuple(word for kind, node in statements for word in _words(kind, node))
    facts = analysis.facts
    if len(analysis.sharding.shards) == 1 or plan.verdict is Verdict.REFUSED:
        return plan
    kinds = {kind for kind, _ in facts.draws}
    if not kinds or not all(_counts(kind, node) for kind, node in statements):
        return replace(plan, ids=words) if words else plan
    at_home = plan.verdict is Verdict.HOME
    apart = (
        not at_home or kinds & {*READS, "generator", "generated"} or ("nextval" in kinds and _table_free(statements))
    )
    ids = (*words, *facts.advances) if at_home else words
    return replace(plan, draws=_NOT_RELAYED if apart else None, ids=ids)


def _counts(kind: str, node: Node) -> bool:
    """Whether it runs when it is said: EXPLAIN does not, unless it analyses."""
    if kind != "ExplainStmt":
        return kind in _STATEMENTS
    return any(one["DefElem"].get("defname") == "analyze" for one in node.get("options", ()))


def _words(kind: str, node: Node) -> Iterator[str]:
    if kind == "DiscardStmt" and node.get("target") in _DISCARDS:
        yield FORGOTTEN
    if (kind == "TruncateStmt" and node.get("restart_seqs")) or kind == "AlterSeqStmt":
        yield RESTARTED


def _table_free(statements: Sequence[tuple[str, Node]]) -> bool:
    kind, node = statements[0]
    return len(statements) == 1 and kind == "SelectStmt" and is_table_free(node)


_ONLY = frozenset(("targetList", "limitOption", "op"))


def is_table_free(select: Node) -> bool:
    """A SELECT that gives one row, of what it computes."""
    return set(select) <= _ONLY and select.get("op", "SETOP_NONE") == "SETOP_NONE"
