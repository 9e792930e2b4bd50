"""MERGE that inserts what its source has and its table has not: to which shard each row of the source belongs.

Where ON compares the key with a column of the source, a row of that can be matched only at the shard where a row with
this key would lie. So each shard is given the rows of the source that belong to it, and inserts those that it does not
match, if their key is that column. Which keys the source has is asked first, of the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trunkline.routing.keys.sharding import Kind, ShardFunction
from trunkline.routing.planning.writes import of_null_key
from trunkline.routing.plans.plan import Fixed, Refusal
from trunkline.routing.spreading.gathering_names import Text
from trunkline.routing.spreading.quoting import identifier
from trunkline.routing.spreading.writing_reading import Written
from trunkline.routing.sql import Node, walk
from trunkline.routing.text.tokens import tokens_of

_OPEN, _CLOSE = b"([", b")]"
_COMPARE = "Compare the key with a column of the source in ON, and insert this column as the key."


@dataclass(frozen=True, slots=True)
class Unmatched:
    """The source in the text, and its column that is the key of what is inserted."""

    begin: int  # where WITH ends
    start: int
    end: int
    column: str  # as SQL, with the name of the source
    alias: str  # of the source, as SQL
    function: ShardFunction
    nowhere: int  # the mask of where a row is put whose key is NULL
    by_source: bool  # rows of the table that nothing matches matter too

    def keys(self) -> bytes:
        """What selects the keys, and their texts, before the source."""
        return f"SELECT DISTINCT {self.column}, {self.column}::pg_catalog.text FROM ".encode()


def inserts(written: Written) -> bool:
    """Whether it is a MERGE that puts rows into a sharded table."""
    return written.found.rule.kind is Kind.SHARDED and any(_insertions(written))


def plan(written: Written, text: Text) -> Unmatched | Refusal:
    """How the rows of its source are told apart, or why they are not."""
    node, rule = written.node, written.use.rule
    ((kind, source),) = node["sourceRelation"].items()
    alias = source.get("alias", {}).get("aliasname") or source.get("relname")
    if kind == "JoinExpr" or alias is None or rule.function is None or len(rule.columns) > 1:
        return Refusal("The rows of its source are not told apart by one column of a single key.", _COMPARE)
    target = node["relation"].get("alias", {}).get("aliasname") or written.found.name
    compared = {(alias, name) for name in _compared(node["joinCondition"], (target, rule.columns[0]), alias)}
    inserted = {_inserted(written, clause) for clause in _insertions(written)}
    column = next(iter(inserted))
    if len(inserted) > 1 or column is None or column not in compared:
        return Refusal("Another shard may have the row that a row of its source does not match at one.", _COMPARE)
    if not written.analysis.trusts_names or _is_nondeterministic(text):
        return Refusal("What is equal in its ON is not certain.", _COMPARE)
    nowhere = of_null_key(written.analysis, written.found, written.use)
    begin, start, end = _places(text.sql)
    kinds = {one["matchKind"] for one in _clauses(written)}
    return Unmatched(
        begin,
        start,
        end,
        f"{identifier(alias)}.{identifier(column[1])}",
        identifier(alias),
        rule.function,
        nowhere.mask if isinstance(nowhere, Fixed) else rule.function.every,
        "MERGE_WHEN_NOT_MATCHED_BY_SOURCE" in kinds,
    )


def _clauses(written: Written) -> Iterator[Node]:
    for wrapped in written.node.get("mergeWhenClauses", ()):
        yield wrapped["MergeWhenClause"]


def _insertions(written: Written) -> Iterator[Node]:
    return (clause for clause in _clauses(written) if clause.get("commandType") == "CMD_INSERT")


def _compared(condition: Node, key: tuple[str, str], alias: str) -> Iterator[str]:
    """The columns of the source that ON has to be equal to the key."""
    todo = [condition]
    while todo:
        ((kind, node),) = todo.pop().items()
        if kind == "BoolExpr" and node.get("boolop") == "AND_EXPR":
            todo += node["args"]
        elif kind == "A_Expr" and node.get("kind") == "AEXPR_OP" and _names(node["name"]) == ("=",):
            sides = [_column(node[side]) for side in ("lexpr", "rexpr")]
            for one, other in (sides, sides[::-1]):
                if one == key and other is not None and other[0] == alias:
                    yield other[1]


def _inserted(written: Written, clause: Node) -> tuple[str, str] | None:
    """The column that one INSERT gives the key; None if it gives it anything else."""
    given = [one["ResTarget"].get("name", "") for one in clause.get("targetList", ())]
    columns, values = given or list(written.found.columns), clause.get("values", [])
    key = written.use.rule.columns[0]
    place = columns.index(key) if key in columns else len(values)
    return _column(values[place]) if place < len(values) else None


def _column(node: Node) -> tuple[str, str] | None:
    names = _names(node.get("ColumnRef", {}).get("fields", ()))
    return (names[0], names[1]) if len(names) == 2 else None


def _names(parts: Sequence[Node]) -> tuple[str, ...]:
    return tuple(part.get("String", {}).get("sval", "") for part in parts)


def _is_nondeterministic(text: Text) -> bool:
    relations = (one.found.relation for one in text.named)
    columns = (column for relation in relations if relation is not None for column in relation.columns)
    return any(not column.deterministic for column in columns) or any(
        name == "CollateClause" for name, _ in walk(text.tree)
    )


def _places(sql: bytes) -> tuple[int, int, int]:
    """Where MERGE stands, and where the source begins and ends: between USING and ON."""
    found: list[tuple[int, int]] = []  # where MERGE begins, USING ends, ON begins; and before it
    depth = before = 0
    for _, start, end in tokens_of(sql):
        word = sql[start:end].lower()
        depth += (word in _OPEN) - (word in _CLOSE)
        due = (b"merge", b"using", b"on")[len(found)]
        if not depth and word == due:
            found.append((start if word != b"using" else end, before))
            if len(found) == 3:
                break
        before = end
    return found[0][0], found[1][0], found[2][1]
