"""How a statement over several shards is answered, in the words of EXPLAIN (ROUTE)."""

from __future__ import annotations

from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.plans.plan import Refusal, RoutePlan
from trunkline.routing.schema.catalog import Catalog
from trunkline.routing.spreading.claiming import Claim
from trunkline.routing.spreading.drawing_slots import Drawing
from trunkline.routing.spreading.gathering import Gather
from trunkline.routing.spreading.merge import Merge
from trunkline.routing.spreading.planner import program_of
from trunkline.routing.spreading.request import Concatenation, Request
from trunkline.routing.spreading.shard_jobs import ShardJobs
from trunkline.routing.spreading.unique_lookup import lookup_of
from trunkline.routing.spreading.wrapped import Wrapped
from trunkline.routing.sql import Unparsed, parse_any


def way_of(
    sql: bytes, plan: RoutePlan, catalog: Catalog, sharding: Sharding, path: tuple[str, ...]
) -> str | Refusal | None:
    """One line, or why there is no way; None where the text is not one statement."""
    try:
        statements = parse_any(sql)
    except Unparsed:
        return None
    if len(statements) != 1:
        return None
    ((kind, node),) = statements
    request = Request(sql, kind, node, catalog, sharding, path, plan)
    program = program_of(request)
    if isinstance(program, Refusal):
        return program
    lookup = lookup_of(request, standard=True)
    first = f"by the unique index {lookup.index}, the one shard that home names; else " if lookup is not None else ""
    return first + words_of(program)


def words_of(program: object) -> str:
    """How a program answers, in a few words."""
    if isinstance(program, Concatenation):
        return "concatenated; each shard is asked for its rows"
    if isinstance(program, Claim):
        return "locked; of the rows of all shards the first that nobody has locked, and no others"
    if isinstance(program, Wrapped):
        return words_of(program.program)
    if isinstance(program, Gather):
        names = ", ".join(dict.fromkeys(".".join(table.name) for table in program.tables))
        return f"gathered; what is needed of {names} is copied to one shard, where the statement runs"
    if isinstance(program, Drawing):
        return "ids are drawn first, for all shards; with them it is a statement like others"
    if isinstance(program, ShardJobs):
        return "done by each shard for itself, in no transaction; SHOW JOBS says how far each has come"
    merge = getattr(program, "merge", None)
    if isinstance(merge, Merge):
        return f"merged; {_merged(merge)}"
    return "written; each shard changes its own rows, and they commit in two phases"


def _merged(merge: Merge) -> str:
    if merge.combines:
        return "each shard computes its parts of the aggregates"
    if merge.unique is not None:
        return "each shard is asked for its rows, and of equal ones the first is kept"
    return "each shard is asked for its rows in order"
