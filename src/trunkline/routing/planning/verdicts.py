"""From facts to a plan: the verdict, its shards, and the sentences that say why."""

from __future__ import annotations

from sys import intern

from trunkline.routing.planning.analysis import Analysis
from trunkline.routing.planning.deduction import any_of
from trunkline.routing.planning.describe import describe, is_single
from trunkline.routing.planning.facts import Facts, Use
from trunkline.routing.plans.plan import Fixed, Occurrence, Refusal, RoutePlan, Verdict, Where

_NAME_KEYS = "Name the key of every sharded table, as a literal or a parameter: {keys}."
_ONE_KEY = "Name the key of every sharded table, or ask the system's catalogs in a statement of its own."
_EACH_SERVER = "Do it on each shard's own server."
_ONE_SCHEMA = "Ask the schemas that are on different shards in statements of their own."


def conclude(analysis: Analysis) -> RoutePlan:
    """The plan of a statement that has been read."""
    facts = analysis.facts
    doubtful = facts.doubtful()
    wheres: dict[Where, Where] = {}  # equal ones as one object, for plans are kept by the thousand
    found = [(use, use.where(doubtful)) for use in facts.uses]
    occurrences = [_occurrence(analysis, use, wheres.setdefault(where, where)) for use, where in found]
    occurrences += _others(analysis)
    if facts.refusal is None:
        _forbid(facts)
    if facts.refusal is not None:
        return _plan(analysis, Verdict.REFUSED, facts.refusal.reason, occurrences)
    for verdict in _VERDICTS:
        plan = verdict(analysis, occurrences)
        if plan is not None:
            return plan
    return _plan(analysis, Verdict.ANYWHERE, _why_anywhere(facts), occurrences)


def _why_anywhere(facts: Facts) -> str:
    if facts.reference:
        return "It reads reference tables only, which are on every shard."
    return "It reads no table."


def _plan(
    analysis: Analysis,
    verdict: Verdict,
    reason: str,
    occurrences: list[Occurrence],
    where: Where = Fixed(0),  # noqa: B008 - immutable
    single: Refusal | None = None,
) -> RoutePlan:
    facts = analysis.facts
    needs_limits = verdict is Verdict.ROUTED and not is_single(where)
    hint = facts.refusal.hint if facts.refusal is not None else (single.hint if single is not None else "")
    return RoutePlan(
        verdict,
        where,
        reason,
        hint,
        facts.refusal,
        tuple(facts.tables),
        facts.writes,
        frozenset(facts.fixed | facts.limits if needs_limits else facts.fixed),
        facts.volatile,
        single,
        tuple(occurrences),
        facts.primary,
        facts.always_primary,
        facts.configures,
        facts.moving is not None,
        declares=facts.declares,
    )


def _occurrence(analysis: Analysis, use: Use, where: Where) -> Occurrence:
    condition = describe(where, use.rule.columns, None, analysis.sharding)
    return Occurrence(use.table, intern(use.alias), use.kind, where, intern(condition), use.writes, use.rule.columns)


def _others(analysis: Analysis) -> list[Occurrence]:
    sharding, facts = analysis.sharding, analysis.facts
    home, every = Fixed(1 << sharding.home), Fixed(sharding.every)
    found = []
    for kind, tables, where in (
        ("home", facts.home, home),
        ("system", facts.system, every if facts.uses else home),
        ("reference", facts.reference, every),
    ):
        for table, writes in tables.items():
            condition = f"on {sharding.shards[sharding.home]}" if where is home else "on any shard"
            if kind == "reference" and writes:
                condition = "every shard"
            found.append(Occurrence(table, table.partition(".")[2], kind, where, condition, writes))
    return found


# --- what cannot be ---------------------------------------------------------------------------------------------------


def _forbid(facts: Facts) -> None:
    """Combinations for which there is no shard or set of shards that would be right."""
    reference = next((table for table, writes in facts.reference.items() if writes), "")
    broadcast = reference or next(iter(facts.every), "")
    if not broadcast:
        return
    forbid = facts.move if reference and facts.own_write and not facts.every else facts.refuse
    if facts.uses:
        forbid(
            f"It has to run on every shard for {broadcast}, and concerns rows of {facts.uses[0].table} besides.",
            "Write it as two statements.",
        )
    elif facts.home or (facts.at_home and not facts.draws):
        other = next(iter(facts.home), "") or facts.at_home
        forbid(
            f"It has to run on every shard for {broadcast}, and {other} is on the home shard only.",
            "Write it as two statements.",
        )


# --- verdicts, the first that holds -----------------------------------------------------------------------------------


def _by_cursor(analysis: Analysis, occurrences: list[Occurrence]) -> RoutePlan | None:
    if not analysis.facts.anywhere:
        return None
    return _plan(analysis, Verdict.ANYWHERE, "It is about the row of a cursor: where the transaction is.", occurrences)


def _routed(analysis: Analysis, occurrences: list[Occurrence]) -> RoutePlan | None:
    facts, sharding = analysis.facts, analysis.sharding
    if not facts.uses and not facts.unseen:
        return None
    parts = [one.where for one in occurrences if one.kind not in ("home", "system", "reference")]
    home = next(iter(facts.home), "") or next((table for table, writes in facts.system.items() if writes), "")
    if facts.system and not home:
        facts.demand_single(f"It reads {next(iter(facts.system))}, of which each shard has its own.", _ONE_KEY)
    if home:
        parts.append(Fixed(1 << sharding.home))
    if not facts.uses or any(facts.reference.values()):
        parts.append(Fixed(sharding.every))
    where = any_of(parts)
    single = None if is_single(where) else _why_single(analysis, occurrences, home)
    return _plan(analysis, Verdict.ROUTED, _why_routed(occurrences, facts.unseen), occurrences, where, single)


def _why_routed(occurrences: list[Occurrence], unseen: str) -> str:
    conditions = []
    for one in occurrences:
        if one.kind in ("sharded", "function", "schema"):
            conditions.append(
                f"{one.table} as {one.alias}: {one.condition}" if _has_alias(one) else f"{one.table}: {one.condition}"
            )
        elif one.kind in ("home", "system"):
            conditions.append(f"{one.table}: {one.condition}")
    if not conditions:
        return f"{unseen} may touch sharded tables."
    return "; ".join(dict.fromkeys(conditions)) + "."


def _has_alias(one: Occurrence) -> bool:
    return bool(one.alias) and one.alias != one.table.partition(".")[2]


def _why_single(analysis: Analysis, occurrences: list[Occurrence], home: str) -> Refusal:
    facts, sharding = analysis.facts, analysis.sharding
    if facts.single is not None or facts.moving is not None:
        return facts.single or facts.moving or Refusal("")
    if facts.unseen and not facts.uses:
        return Refusal(
            f"{facts.unseen} may touch sharded tables, and nothing says which rows.",
            "Declare the function's key argument, or say the shard in a hint.",
        )
    if home:
        return Refusal(
            f"It concerns {home}, which is on the home shard {sharding.shards[sharding.home]} only,"
            " and rows that may be on other shards.",
            f"Make {home} a reference table, or shard it.",
        )
    loose = next((one for one in occurrences if one.kind in ("sharded", "function") and not is_single(one.where)), None)
    keyed = [use for use in facts.uses if use.rule.columns]  # a schema that is on one shard has no key
    keys = ", ".join(dict.fromkeys(f"{use.table} by {', '.join(use.rule.columns)}" for use in keyed))
    hint = _NAME_KEYS.format(keys=keys) if keyed else _ONE_SCHEMA
    if loose is None:
        return Refusal("Its tables are asked for different keys, which may be on different shards.", hint)
    return Refusal(f"It concerns rows of {loose.table} on more than one shard ({loose.condition}).", hint)


def _every(analysis: Analysis, occurrences: list[Occurrence]) -> RoutePlan | None:
    facts = analysis.facts
    written = next((table for table, writes in facts.reference.items() if writes), "")
    subject = written or next(iter(facts.every), "")
    if not subject:
        return None
    if facts.moving is not None:
        single = facts.moving
    elif written and (facts.volatile or facts.differs):
        single = Refusal(
            f"It writes the reference table {written}, and what it computes may differ from shard to shard.",
            "Compute the values first and give them as literals or parameters.",
        )
    else:
        single = Refusal(f"It has to run on every shard, since {subject} is there.", _EACH_SERVER)
    reason = (
        f"{subject} is a reference table: a write is done on every shard."
        if written
        else (f"It has to be done on every shard, for {subject}.")
    )
    return _plan(analysis, Verdict.EVERY, reason, occurrences, Fixed(analysis.sharding.every), single)


def _home(analysis: Analysis, occurrences: list[Occurrence]) -> RoutePlan | None:
    facts = analysis.facts
    table = next(iter(facts.home), "") or next(iter(facts.system), "")
    if table:
        reason = f"{table} is on the home shard."
    elif facts.at_home:
        reason = f"It concerns {facts.at_home}, of which there is one, on the home shard."
    elif facts.locks and facts.reference:
        reason = "It locks rows of a reference table: on the home shard, where every writer comes by."
    else:
        return None
    return _plan(analysis, Verdict.HOME, reason, occurrences)


def _session(analysis: Analysis, occurrences: list[Occurrence]) -> RoutePlan | None:
    if not analysis.facts.session or analysis.facts.reference:
        return None
    return _plan(analysis, Verdict.SESSION, "It is about the session, not about a table.", occurrences)


_VERDICTS = (_by_cursor, _routed, _every, _home, _session)
