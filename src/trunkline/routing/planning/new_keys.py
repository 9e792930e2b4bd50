"""Keys that an UPDATE sets: to what they are, or to another value, by which the row may belong to another shard."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.routing.keys.sharding import TableRule
from trunkline.routing.planning.analysis import Analysis, Found
from trunkline.routing.planning.conditions import Condition, Member
from trunkline.routing.planning.deduction import Environment, of_rows, place_of_null
from trunkline.routing.planning.predicates import Reader
from trunkline.routing.planning.scopes import Item, Scope
from trunkline.routing.plans.plan import Constant, Fixed, Literal, Source
from trunkline.routing.sql import Node, token_at

_MOVABLE = frozenset("rp")  # kinds of relations whose rows can be moved


def check_keys(
    analysis: Analysis,
    found: Found,
    item: Item,
    targets: Sequence[Node],
    known: Sequence[Condition],
    scope: Scope,
    *,
    may_move: bool,
) -> None:
    """A key is set to what it is; or, where rows may move, the statement concerns the shards that they move to."""
    keys = {variable for use in analysis.facts.uses if use.writes for variable in use.key}
    if not keys:
        return
    knowledge = Environment(known).knowledge()
    roots = {knowledge.root(variable) for variable in keys}
    reader = Reader(analysis, scope, {})
    for wrapped in targets:
        name, value = str(wrapped["ResTarget"].get("name", "")), wrapped["ResTarget"]["val"]
        variable = item.variable(name) if name in item.families else None
        if variable is None or knowledge.root(variable) not in roots:
            if name in found.rule.columns:
                refuse_key(analysis, found, name)
            continue
        assigned = reader.column(value)
        if assigned is not None and knowledge.root(assigned) == knowledge.root(variable):
            continue
        source = reader.value_for(variable, value)
        moves = may_move and _can_move(analysis, found)
        if _is_what_it_is(analysis, source, variable, known, decides=not moves):
            continue
        if moves:
            _move(analysis, found, name, source)
        else:
            refuse_key(analysis, found, name)


def takes_null(found: Found, rule: TableRule) -> bool:
    """Whether the key of a row may be NULL."""
    relation = found.relation
    columns = [relation.column(name) for name in rule.columns] if relation is not None else []
    return not any(column is not None and column.not_null for column in columns)


def nowhere_of(analysis: Analysis, found: Found, rule: TableRule) -> int:
    """The mask of where a row without a key is put; all, if that is not one; 0 if the table takes none."""
    if not takes_null(found, rule):
        return 0
    place = place_of_null(rule.function) if rule.function is not None and len(rule.columns) == 1 else 0
    return place or analysis.sharding.every


def refuse_key(analysis: Analysis, found: Found, column: str) -> None:
    analysis.facts.refuse(*_why(found, column))


def _why(found: Found, column: str) -> tuple[str, str]:
    return (
        f"It sets {column}, by which {found.full_name} is sharded: the row would belong to another shard.",
        "Insert the row anew and delete the old one, in a transaction each.",
    )


def _can_move(analysis: Analysis, found: Found) -> bool:
    """Whether it is one table whose rows can be put anywhere, and not a view over it."""
    writes = [use for use in analysis.facts.uses if use.writes]
    known = found.relation is not None and found.relation.kind in _MOVABLE
    return known and len(writes) == 1 and writes[0].table == found.full_name and found.rule.function is not None


def _move(analysis: Analysis, found: Found, column: str, source: Source | None) -> None:
    function = found.rule.function
    assert function is not None
    (use,) = [use for use in analysis.facts.uses if use.writes]
    is_null = isinstance(source, Constant) and source.text is None
    if source is None or is_null or len(found.rule.columns) > 1:
        use.besides = Fixed(function.every)
    else:
        use.besides = of_rows(function, ((source,),), nowhere_of(analysis, found, use.rule))
    analysis.facts.move(*_why(found, column))


def _is_what_it_is(
    analysis: Analysis, source: Source | None, variable: int, known: Sequence[Condition], *, decides: bool
) -> bool:
    """Whether a column is known to have just this value. Of literals that depends on both; `decides`: if not, too."""
    for condition in known:
        if not isinstance(condition, Member) or condition.variables != (variable,) or len(condition.rows) != 1:
            continue
        other = condition.rows[0][0]
        if isinstance(source, Literal) and isinstance(other, Literal):
            same = token_at(analysis.text, source) == token_at(analysis.text, other) and source.type == other.type
            if same or decides:
                analysis.facts.fixed.update((source.location, other.location))
            if same:
                return True
        elif source is not None and source == other:
            return True
    return False
