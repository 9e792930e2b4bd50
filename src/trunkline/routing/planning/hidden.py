"""What the text of a statement hides: bodies of functions, triggers, defaults, policies and rules.

A body is planned like a statement, and its rows count like those of the statement itself: known by constants, and by
arguments that are constants or columns. What is not SQL alone (variables of PL/pgSQL, texts that are run, other
languages) may know its rows without our seeing how: it goes where the statement is, and is refused where that does not
say.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.routing.keys.sharding import KeyArgument, Kind
from trunkline.routing.planning.analysis import Analysis, Found
from trunkline.routing.planning.deduction import Environment, of_rows, place_of_null
from trunkline.routing.planning.facts import Facts, Use
from trunkline.routing.planning.ids import note_default, note_hidden
from trunkline.routing.planning.predicates import Reader
from trunkline.routing.planning.programs import Unseen, definition, statements_of
from trunkline.routing.planning.replicas import on_body, on_own_function
from trunkline.routing.planning.scopes import Scope
from trunkline.routing.planning.tree import Block, Derived, Leaf
from trunkline.routing.planning.unique import note_write
from trunkline.routing.plans.plan import All, AnyOf, Between, Equals, Fixed, In, InArray, Parameter, Source, Where
from trunkline.routing.schema.catalog import Function
from trunkline.routing.sql import Node, walk

_COMPILED = ("c", "internal")  # PostgreSQL's own and extensions': no SQL that could be seen
MAX_NESTING = 10  # of functions that call functions
_LEVEL = 1000  # more than a function has arguments: placeholders differ from level to level


def on_user_function(analysis: Analysis, function: Function, node: Node, scope: Scope) -> Derived | None:
    """A call of somebody's own function; a part, if a column decides where it runs."""
    facts = analysis.facts
    facts.volatile |= function.volatility == "v"
    facts.differs |= function.volatility != "i"
    on_own_function(analysis, function)
    declared = analysis.sharding.functions.get(f"{function.schema}.{function.name}")
    if declared is None and function.schema == "public":
        declared = analysis.sharding.functions.get(function.name)
    arguments = node.get("args", [])
    if declared is not None:
        return _declared(analysis, function, declared, arguments, scope)
    known: dict[str, Source] = {}
    columns: dict[int, int] = {}
    reader = Reader(analysis, scope, {})
    for number, argument in enumerate(arguments, 1):
        source, variable = analysis.constant(argument), reader.column(argument)
        if source is not None:
            known[str(number)] = source
        elif variable is not None:
            placeholder = -number - _LEVEL * len(analysis.bodies)
            known[str(number)] = Parameter(placeholder)  # stands for the column until the body is known
            columns[placeholder] = variable
    return _run(analysis, function, known, columns)


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
        use.fixed = of_rows(rule.function, ((source,),), place_of_null(rule.function))
        return None
    variable = Reader(analysis, scope, {}).column(wrapped)
    if variable is None or len(rule.columns) != 1:
        use.fixed = Fixed(rule.function.every)
        return None
    use.key = (variable,)
    return Derived(Block([Leaf(use)]), frozenset(), ())


def _run(
    analysis: Analysis, function: Function, arguments: dict[str, Source], columns: dict[int, int]
) -> Derived | None:
    """The body of a function; a part, if a column that is an argument decides where it runs."""
    name = f"The function {function.schema}.{function.name}()"
    this = (function.schema, function.name, function.body)
    if function.language in _COMPILED or function.kind in ("a", "w") or this in analysis.bodies:
        return None
    try:
        if len(analysis.bodies) >= MAX_NESTING:
            raise Unseen
        statements = statements_of(function.language, function.body)
    except Unseen:
        analysis.facts.unseen = analysis.facts.unseen or name
        return None
    inner = analysis.within((*analysis.bodies, this), arguments)
    _bind_all(inner, statements)
    leaves = _take_uses(analysis.facts, inner.facts, name, columns, is_sql=function.language == "sql")
    _take_over(analysis.facts, inner.facts, name, is_sql=function.language == "sql")
    return Derived(Block(leaves), frozenset(), ()) if leaves else None


def _bind_all(inner: Analysis, statements: Sequence[tuple[str, str, Node]]) -> None:
    for text, kind, node in statements:
        part = inner.inside(text, inner.search_path).bind_statement(inner.inside(text, inner.search_path), kind, node)
        if part is not None:
            part.descend(Environment())


def _take_uses(facts: Facts, inner: Facts, name: str, columns: dict[int, int], *, is_sql: bool) -> list[Leaf]:
    """The rows that a body concerns. Those with the key in a column of the statement are leaves of its tree."""
    leaves = []
    for use in inner.uses:
        where, function = use.where(frozenset()), use.rule.function
        found = Use(use.table, use.alias, use.rule, (), use.writes, "function", fixed=where)
        placeholders = [number for number in _placeholders(where) if number in columns]
        if placeholders and isinstance(where, Equals) and len(where.sources) == 1:
            found.fixed, found.key, found.nowhere = None, (columns[placeholders[0]],), where.nowhere
            leaves.append(Leaf(found))
        elif placeholders:
            found.fixed = Fixed(function.every if function is not None else 0)
        if (
            not is_sql
            and isinstance(found.fixed, Fixed)
            and function is not None
            and found.fixed.mask == function.every
        ):
            facts.unseen = facts.unseen or name
        else:
            facts.uses.append(found)
    return leaves


def _placeholders(where: Where) -> list[int]:
    """The arguments by column that a condition depends on."""
    if isinstance(where, All | AnyOf):
        return [number for part in where.parts for number in _placeholders(part)]
    sources: list[Source | None] = []
    if isinstance(where, Equals):
        sources += where.sources
    elif isinstance(where, In):
        sources += [source for row in where.rows for source in row]
    elif isinstance(where, InArray):
        sources.append(where.array)
    elif isinstance(where, Between):
        sources += [where.low, where.high]
    return [source.number for source in sources if isinstance(source, Parameter) and source.number < 0]


def _take_over(facts: Facts, inner: Facts, name: str, *, is_sql: bool) -> None:
    """What else a body does, its statement does."""
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
    if inner.refusal is not None and is_sql:
        facts.refuse(f"{name}: {inner.refusal.reason}", inner.refusal.hint, inner.refusal.sqlstate)
    elif inner.refusal is not None or inner.unseen:
        facts.unseen = facts.unseen or name
    facts.at_home = facts.at_home or inner.at_home
    note_hidden(facts, inner, name)
    facts.keeps |= inner.keeps
    facts.writes |= inner.writes
    on_body(facts, inner, name)
    facts.volatile |= inner.volatile or inner.locks
    facts.configures |= inner.configures


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
    _take_uses(analysis.facts, inner.facts, "The block", {}, is_sql=True)
    _take_over(analysis.facts, inner.facts, "The block", is_sql=False)


# --- writes ---------------------------------------------------------------------------------------------------------


def on_write(analysis: Analysis, found: Found, event: str, columns: Sequence[str] | None, scope: Scope) -> None:
    """Rows of a table are written: its triggers, rules and defaults run."""
    relation = found.relation
    if relation is None:
        return
    note_write(analysis, relation, event, columns or ())
    configures = analysis.facts.configures  # a trigger that does is at home with that: it tells itself
    for function in trigger_functions(analysis, found):
        _run(analysis, function, {}, {})
    analysis.facts.configures = configures
    for rule in relation.rules:
        _on_rule(analysis, found, rule)
    if event == "INSERT":
        given = frozenset(columns or ())
        for column in relation.columns:
            if column.default is not None and "(" in column.default and column.name not in given:
                with note_default(analysis.facts, found.full_name):
                    _expression(analysis, column.default)


def trigger_functions(analysis: Analysis, found: Found) -> list[Function]:
    """What the triggers of a table call."""
    triggers = found.relation.triggers if found.relation is not None else ()
    return [function for trigger in triggers for function in analysis.catalog.functions.get(trigger.function, ())]


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
