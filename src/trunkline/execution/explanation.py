"""EXPLAIN (ROUTE): where a statement goes and why, as a statement that any server answers with it.

The explanation is put in the place of the statement, as a list of constants: so it is prepared, described, bound and
fetched like any query, by any client, in either protocol.
"""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.planning.describe import describe
from trunkline.routing.plans.plan import Refusal, RoutePlan, Verdict

IN_BLOCK = "  In a READ ONLY transaction: a replica may answer it."
_KINDS = {
    Verdict.ANYWHERE: "any shard",
    Verdict.HOME: "the home shard",
    Verdict.EVERY: "every shard",
    Verdict.REFUSED: "refused",
    Verdict.SESSION: "the session's own shard, or home",
}


def lines(
    plan: RoutePlan,
    mask: int | None,
    sharding: Sharding,
    sql: bytes | None = None,
    said_by: str = "",
    way: str | Refusal | None = None,
) -> Iterator[str]:
    """What there is to say; `mask` is None where only the values of parameters will tell.

    `sql` is the text that the plan was made of, if its literals are to be shown. `said_by` is who has chosen the one
    shard of the mask among those that the statement concerns. `way` is how it is answered over several shards, or why
    it is not (routing/spreading/explaining.py).
    """
    yield f"Route: {'single shard' if said_by else _route(plan, mask)}"
    if said_by and mask is not None:
        yield f"  Shards: {', '.join(sharding.names_of(mask))} (chosen by {said_by})"
    elif mask is not None and plan.verdict is Verdict.ROUTED:
        yield f"  Shards: {', '.join(sharding.names_of(mask)) or 'none (no row can match): asked of home'}"
    elif plan.verdict in (Verdict.HOME, Verdict.ANYWHERE, Verdict.SESSION):
        yield f"  Shards: {sharding.shards[sharding.home]}"
    for found in plan.occurrences:
        alias = "" if found.alias in ("", found.table.rpartition(".")[2]) else f" {found.alias}"
        yield f"  ->  {found.table}{alias} ({found.kind}{', written' if found.writes else ''})"
        words = found.condition if not found.columns else describe(found.where, found.columns, sql, sharding)
        yield f"        Key: {words}"
    if plan.reason:
        yield f"  Reason: {plan.reason}"
    if plan.verdict not in (Verdict.SESSION, Verdict.REFUSED):
        yield f"  Replica: {f'no. {plan.primary}' if plan.primary else 'may answer it'}"
        if may_in_block(plan):
            yield IN_BLOCK
    if _is_several(plan, mask) and not said_by and way is not None:
        yield from _said(way)
        return
    refusal = plan.refusal or (plan.unless_single if _is_several(plan, mask) else None) if not said_by else None
    if refusal is not None:
        yield f"  Refused: {refusal.reason}"
    hint = (refusal.hint if refusal is not None else "") or plan.hint
    if hint and not said_by and not _is_one(plan, mask):
        yield f"  Hint: {hint}"


def _said(way: str | Refusal) -> Iterator[str]:
    if isinstance(way, str):
        yield f"  Answer: {way}"
        return
    yield f"  Refused: {way.reason}"
    if way.hint:
        yield f"  Hint: {way.hint}"


def may_in_block(plan: RoutePlan) -> bool:
    """Whether a replica answers in a READ ONLY transaction what it may not by itself; writes and locks it refuses."""
    return plan.primary.startswith(("It calls ", "It reads ")) and not plan.always_primary


def _route(plan: RoutePlan, mask: int | None) -> str:
    if plan.verdict is not Verdict.ROUTED:
        return _KINDS[plan.verdict]
    if mask is None:
        return "by the value of a parameter"
    return ("no shard", "single shard", "several shards")[min(mask.bit_count(), 2)]


def _is_one(plan: RoutePlan, mask: int | None) -> bool:
    """Its keys happen to be on one shard, so that there is nothing to be done about it."""
    return plan.verdict is Verdict.ROUTED and mask is not None and mask.bit_count() <= 1


def _is_several(plan: RoutePlan, mask: int | None) -> bool:
    return plan.verdict is Verdict.EVERY or (mask is not None and mask.bit_count() > 1)


def as_query(said: Iterator[str], parameters: int = 0) -> bytes:
    """A query with these rows, which takes as many parameters as the statement that it explains."""
    rows = ", ".join(f"({number}, {_quote(line)})" for number, line in enumerate(said))
    taken = "".join(f" AND (${number}::text IS NULL OR true)" for number in range(1, parameters + 1))
    sql = f'SELECT said AS "QUERY PLAN" FROM (VALUES {rows}) AS route(number, said) WHERE true{taken} ORDER BY number'
    return sql.encode()


def _quote(text: str) -> str:
    """Between dollars, where nothing is an escape whatever the settings are."""
    tag = "$route$"
    while tag in text:
        tag = f"${tag[1:-1]}_$"
    return f"{tag}{text}{tag}"
