"""The planner: from the text of a statement, a catalog and a sharding to a RoutePlan. Pure.

Laws. (1) A plan's shards are all shards that may hold a row which makes a difference: in doubt one more, never one
less. (2) What cannot be right is refused, with a reason and a hint. (3) What does not parse is left to the home server.

How: the statement is bound to the catalog (queries, sources, writes, commands), which gives a tree of parts with the
conditions that hold in each; conditions descend to the occurrences of tables, where what is known of the key is
deduced (deduction). Everything else that was seen is in Facts, and the verdict is drawn here.
"""

from __future__ import annotations

from dataclasses import replace

from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.planning.analysis import Analysis
from trunkline.routing.planning.commands import bind_statement
from trunkline.routing.planning.deduction import Environment
from trunkline.routing.planning.facts import TooComplex
from trunkline.routing.planning.ids import with_ids
from trunkline.routing.planning.queries import bind_select
from trunkline.routing.planning.replicas import why_always_primary, why_primary
from trunkline.routing.planning.unique import with_unique
from trunkline.routing.planning.verdicts import conclude
from trunkline.routing.planning.writes import bind_write
from trunkline.routing.plans.plan import Fixed, Refusal, RoutePlan, Verdict
from trunkline.routing.schema.catalog import Catalog
from trunkline.routing.sql import NotUtf8, SyntaxProblem, TooDeep, TooLarge, parse_any

_TOO_COMPLEX = Refusal(
    "The statement is nested too deeply, or refers to too many views, to be planned.", "Write it flatter.", "54001"
)
_TOO_LARGE = Refusal(
    "The statement has too many parts to be planned.", "Send fewer rows at a time, or one array of values.", "54001"
)
_NOT_UTF8 = Refusal(
    "The text of the statement is not UTF-8, so what it names is not certain.", "Use client_encoding UTF8.", "22021"
)

_NO_SYNTAX = "It does not parse."


def _in_servers_words(problem: SyntaxProblem) -> Refusal:
    return Refusal(str(problem), sqlstate="42601", position=problem.position)


def plan(sql: bytes, catalog: Catalog, sharding: Sharding, search_path: tuple[str, ...]) -> RoutePlan:
    """Where a statement goes, but for the values of its keys."""
    try:
        statements = parse_any(sql)
    except SyntaxProblem as problem:
        reason = "It does not parse: the home server says what is wrong with it."
        refusal = _in_servers_words(problem)
        return RoutePlan(
            Verdict.HOME, reason=reason, unless_single=refusal, primary=_NO_SYNTAX, always_primary=_NO_SYNTAX
        )
    except TooDeep:
        return _refused(_TOO_COMPLEX)
    except TooLarge:
        return _refused(_TOO_LARGE)
    except NotUtf8:
        return _refused(_NOT_UTF8)
    analysis = Analysis(sql, catalog, sharding, search_path, bind_select, bind_write, bind_statement)
    try:
        for name, node in statements:
            part = bind_statement(analysis, name, node)
            if part is not None:
                part.descend(Environment())
    except (RecursionError, TooComplex):
        return _refused(_TOO_COMPLEX)
    analysis.facts.always_primary = why_always_primary(analysis, statements)
    analysis.facts.primary = why_primary(analysis, statements)
    found = with_unique(analysis.facts, statements, with_ids(analysis, statements, conclude(analysis)))
    return _one_by_one(found, sharding) if len(statements) > 1 else found


def _one_by_one(found: RoutePlan, sharding: Sharding) -> RoutePlan:
    """Of several statements in one text: what is refused of all of them together may be done one after the other."""
    if found.refusal is None or len(sharding.shards) == 1:
        return found
    where = Fixed(sharding.every)
    return replace(found, verdict=Verdict.ROUTED, where=where, refusal=None, unless_single=found.refusal, moves=True)


def _refused(refusal: Refusal) -> RoutePlan:
    why = refusal.reason
    return RoutePlan(
        Verdict.REFUSED, reason=refusal.reason, hint=refusal.hint, refusal=refusal, primary=why, always_primary=why
    )
