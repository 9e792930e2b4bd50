"""What the text of a statement hides: bodies of functions, triggers, defaults, policies and rules.

A body is planned like a statement. Where its rows are known (by constants, or by arguments that are), they count like
those of the statement itself. Where they are not, the function goes where the statement is, and is refused where the
statement does not say.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.routing.analysis import Analysis, Found
from trunkline.routing.catalog import Function
from trunkline.routing.deduction import Environment, of_rows
from trunkline.routing.facts import Facts, Use
from trunkline.routing.plan import Fixed, Source
from trunkline.routing.predicates import Reader
from trunkline.routing.programs import Unseen, definition, statements_of
from trunkline.routing.scopes import Scope
from trunkline.routing.sharding import KeyArgument, Kind
from trunkline.routing.sql import Node, walk
from trunkline.routing.tree import Block, Derived, Leaf

_COMPILED = ("c", "internal")  # PostgreSQL's own and extensions': no SQL that could be seen
MAX_NESTING = 10  # of functions that call functions


def on_user_function(analysis: Analysis, function: Function, node: Node, scope: Scope) -> Derived | None:
    """A call of somebody's own function; a part, if a column decides where it runs."""
    facts = analysis.facts
    facts.volatile |= function.volatility == "v"
    declared = analysis.sharding.functions.get(f"{function.schema}.{function.name}")
    if declared is None and function.schema == "public":
        declared = analysis.sharding.functions.get(function.name)
    arguments = node.get("args", [])
    if declared is not None:
        return _declared(analysis, function, declared, arguments, scope)
    known: dict[str, Source] = {}
    for place, argument in enumerate(arguments):
        source = analysis.constant(argument)
        if source is not None:
            known[str(place + 1)] = source
    _run(analysis, function, known)
    return None


def _declared(
    analysis: Analysis, function: Function, declared: KeyArgument, arguments: Sequence[Node], scope: Scope
) -> Derived | None:
    """It touches only rows with the key that is in this argument."""
    schema, _, table = declared.table.rpartition(".")
    rule = analysis.sharding.rule_of(schema or "public", table)
    if rule.function is None:
        return None
    use = Use(f"{function.schema}.{function.name}()", function.name, rule, writes=True, kind="function")
    analysis.facts.uses.append(use)
    wrapped = arguments[declared.argument - 1] if declared.argument <= len(arguments) else None
    if wrapped is None:
        use.fixed = Fixed(rule.function.every)
        return None
    source = analysis.constant(wrapped)
    if source is not None:
        use.fixed = of_rows(rule.function, ((source,),))
        return None
    variable = Reader(analysis, scope, {}).column(wrapped)
    if variable is None or len(rule.columns) != 1:
        use.fixed = Fixed(rule.function.every)
        return None
    use.key = (variable,)
    return Derived(Block([Leaf(use)]), frozenset(), ())


def _run(analysis: Analysis, function: Function, arguments: dict[str, Source]) -> None:
    """The body of a function."""
    name = f"{function.schema}.{function.name}()"
    if function.language in _COMPILED or function.kind in ("a", "w"):
        return
    if (function.schema, function.name, function.body) in analysis.bodies:
        return
    if len(analysis.bodies) >= MAX_NESTING:
        analysis.facts.unseen = analysis.facts.unseen or f"The function {name}"
        return
    bodies = (*analysis.bodies, (function.schema, function.name, function.body))
    try:
        statements = statements_of(function.language, function.body)
    except Unseen:
        analysis.facts.unseen = analysis.facts.unseen or f"The function {name}"
        return
    inner = analysis.within(bodies, arguments)
    _bind_all(inner, statements)
    _take_over(analysis.facts, inner.facts, f"The function {name}")


def _bind_all(inner: Analysis, statements: Sequence[tuple[str, str, Node]]) -> None:
    for text, kind, node in statements:
        part = inner.inside(text, inner.search_path).bind_statement(inner.inside(text, inner.search_path), kind, node)
        if part is not None:
            part.descend(Environment())


def _take_over(facts: Facts, inner: Facts, name: str) -> None:
    """What a body does, its statement does."""
    for use in inner.uses:
        where = use.where(frozenset())
        function = use.rule.function
        if isinstance(where, Fixed) and function is not None and where.mask == function.every:
            facts.unseen = facts.unseen or name
        else:
            facts.uses.append(Use(use.table, use.alias, use.rule, (), use.writes, "function", fixed=where))
    for table in inner.tables:
        facts.tables[table] = None
    for place, found in ((facts.home, inner.home), (facts.system, inner.system)):
        for table, writes in found.items():
            place[table] = place.get(table, False) or writes
    for table, writes in inner.reference.items():
        facts.reference[table] = facts.reference.get(table, False)
        if writes:
            facts.refuse(
                f"{name} writes the reference table {table}, which has to be done on every shard.",
                "Write the reference table in a statement of its own.",
            )
    if inner.every:
        facts.refuse(f"{name} has a statement for every shard ({next(iter(inner.every))}).", "Run it by itself.")
    if inner.refusal is not None or inner.unseen:
        facts.unseen = facts.unseen or name
    facts.at_home = facts.at_home or inner.at_home
    facts.writes |= inner.writes
    facts.volatile |= inner.volatile or inner.locks


def on_block(analysis: Analysis, language: str, body: str) -> None:
    """DO: a body without a function."""
    analysis.facts.volatile = True
    try:
        statements = statements_of(language.lower(), body)
    except Unseen:
        analysis.facts.unseen = "The block"
        return
    inner = analysis.within(analysis.bodies, {})
    _bind_all(inner, statements)
    _take_over(analysis.facts, inner.facts, "The block")


# --- writes ---------------------------------------------------------------------------------------------------------


def on_write(analysis: Analysis, found: Found, event: str, columns: Sequence[str] | None, scope: Scope) -> None:
    """Rows of a table are written: its triggers, rules and defaults run."""
    relation = found.relation
    if relation is None:
        return
    for trigger in relation.triggers:
        for function in analysis.catalog.functions.get(trigger.function, ()):
            _run(analysis, function, {})
    for rule in relation.rules:
        _on_rule(analysis, found, rule)
    if event == "INSERT":
        given = frozenset(columns or ())
        for column in relation.columns:
            if column.default is not None and "(" in column.default and column.name not in given:
                _expression(analysis, column.default)


def _on_rule(analysis: Analysis, found: Found, rule: str) -> None:
    """A rule rewrites the statement; followed only as far as it stays on home tables."""
    parsed = definition(rule)
    names = {value for key, value in walk(parsed[1]) if key == "relname"} if parsed is not None else set()
    spread = found.rule.kind is not Kind.HOME or any(
        analysis.find(None, name).rule.kind is not Kind.HOME for name in names
    )
    if spread or parsed is None:
        analysis.facts.refuse(
            f"{found.full_name} has a rule that rewrites the statement, and sharded or reference tables are concerned.",
            "Use a trigger in place of the rule.",
        )


def _expression(analysis: Analysis, text: str) -> None:
    parsed = definition(f"SELECT {text}")
    if parsed is not None:
        inner = analysis.inside(f"SELECT {text}", analysis.search_path)
        inner.bind_statement(inner, *parsed)


def policy_parts(analysis: Analysis, found: Found, scope: Scope) -> list[Derived]:
    """The queries in the row security policies of a table, which run for each of its rows."""
    parts = []
    for policy in found.relation.policies if found.relation is not None else ():
        text = f"SELECT 1 WHERE {policy}"
        parsed = definition(text)
        if parsed is None:
            analysis.facts.refuse(f"A policy of {found.full_name} is not understood.")
            continue
        inner = analysis.inside(text, analysis.search_path)
        query, _ = inner.bind_select(inner, parsed[1], Scope(scope))
        parts.append(Derived(query, frozenset(), ()))
    return parts
