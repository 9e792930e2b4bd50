"""Where recorded statements would go: one by one as EXPLAIN (ROUTE) has it, and all of them in a summary. Pure.

What a session said before (SET trunkline.shard, a transaction's shard) is not known of a recorded statement, so each is
judged by itself: what its text, its parameters and a comment in it say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from trunkline.errors import TrunklineError
from trunkline.execution.explanation import lines
from trunkline.execution.hints import may_choose, shard_of_comment
from trunkline.routing.keys.sharding import KeyNotMapped, KeyUnknown, NotCoercible, Sharding
from trunkline.routing.planning.describe import is_single
from trunkline.routing.planning.planner import plan as make_plan
from trunkline.routing.plans.call import Call
from trunkline.routing.plans.evaluation import ReadyPlan
from trunkline.routing.plans.plan import All, AnyOf, Fixed, Refusal, RoutePlan, Verdict, Where
from trunkline.routing.schema.catalog import Catalog
from trunkline.routing.spreading.explaining import way_of
from trunkline.routing.sql import SyntaxProblem, Unparsed, parse_any
from trunkline.routing.text.fingerprint import Fingerprint
from trunkline.routing.text.records import Record

WORST = 10
KEPT = 10_000  # texts whose plans are kept
_SHOWN = 200  # characters of a template in the summary


class Share(StrEnum):
    """What becomes of a call."""

    ONE = "one shard"
    SEVERAL = "several shards"
    REFUSED = "refused"
    FREE = "home or any shard"
    UNPARSED = "does not parse"


@dataclass(frozen=True, slots=True)
class Judged:
    """One record; `mask` is None where the shards are not known or there is nothing to say of them."""

    record: Record
    template: str
    share: Share
    plan: RoutePlan
    mask: int | None
    refusal: Refusal | None
    lines: tuple[str, ...]

    def as_json(self, sharding: Sharding) -> dict[str, Any]:
        return {
            "line": self.record.line,
            "calls": self.record.calls,
            "statement": self.record.sql.decode(errors="replace"),
            "template": self.template,
            "share": str(self.share),
            "verdict": str(self.plan.verdict),
            "shards": None if self.mask is None else sharding.names_of(self.mask),
            "tables": list(self.plan.tables),
            "reason": self.plan.reason,
            "primary": self.plan.primary or None,
            "refused": self.refusal.reason if self.refusal is not None else None,
            "sqlstate": self.refusal.sqlstate if self.refusal is not None else None,
            "hint": (self.refusal.hint if self.refusal is not None else "") or self.plan.hint,
            "explained": list(self.lines),
        }


@dataclass(slots=True)
class Bad:
    """A template whose calls are not for one shard, with the reason of the first of them."""

    template: str
    share: Share
    reason: str
    hint: str
    calls: int = 0


@dataclass(slots=True)
class Summary:
    """Counts of calls; a share is of all calls."""

    statements: int = 0
    calls: dict[Share, int] = field(default_factory=lambda: dict.fromkeys(Share, 0))
    bad: dict[str, Bad] = field(default_factory=dict)

    def add(self, judged: Judged) -> None:
        self.statements += 1
        self.calls[judged.share] += judged.record.calls
        if judged.share in (Share.SEVERAL, Share.REFUSED):
            found = self.bad.get(judged.template)
            if found is None:
                reason = judged.refusal.reason if judged.refusal is not None else judged.plan.reason
                hint = (judged.refusal.hint if judged.refusal is not None else "") or judged.plan.hint
                found = self.bad[judged.template] = Bad(judged.template, judged.share, reason, hint)
            found.calls += judged.record.calls

    @property
    def total(self) -> int:
        return sum(self.calls.values())

    def worst(self) -> list[Bad]:
        return sorted(self.bad.values(), key=lambda one: -one.calls)[:WORST]

    def share_of(self, share: Share) -> float:
        return self.calls[share] / self.total if self.total else 0.0

    def lines(self) -> Iterable[str]:
        yield f"{self.total} calls of {self.statements} statements"
        for share, calls in self.calls.items():
            yield f"  {share:18} {calls:>10}  {self.share_of(share):7.2%}"
        worst = self.worst()
        if worst:
            yield "Most often on several shards, or refused:"
        for one in worst:
            yield f"  {one.calls} calls, {one.share}: {' '.join(one.template.split())[:_SHOWN]}"
            yield f"      {one.reason}"
            if one.hint:
                yield f"      Hint: {one.hint}"

    def as_json(self) -> dict[str, Any]:
        shares = {
            str(share): {"calls": calls, "share": round(self.share_of(share), 6)} for share, calls in self.calls.items()
        }
        worst = [
            {"template": one.template, "calls": one.calls, "share": str(one.share), "reason": one.reason}
            | {"hint": one.hint}
            for one in self.worst()
        ]
        return {"summary": {"statements": self.statements, "calls": self.total, "shares": shares, "worst": worst}}


class Judge:
    """Plans by one catalog and sharding. A text with other literals is planned anew, so that its own can be shown."""

    def __init__(self, catalog: Catalog, sharding: Sharding, search_path: tuple[str, ...] = ("public",)) -> None:
        self.catalog, self.sharding, self.search_path = catalog, sharding, search_path
        self._ready = lru_cache(KEPT)(self._prepare)

    def _prepare(self, sql: bytes) -> tuple[Fingerprint, ReadyPlan, bool]:
        """All that is to be known of a text; the last is whether it parses."""
        literals = Fingerprint(sql)
        plan = make_plan(sql, self.catalog, self.sharding, self.search_path)
        return literals, ReadyPlan(plan, literals, sql), _parses(sql, plan)

    def judge(self, record: Record) -> Judged:
        literals, ready, parses = self._ready(record.sql)
        mask, refusal = self._mask(ready, record)
        if ready.plan.refusal is not None and ready.plan.verdict is Verdict.REFUSED:
            refusal = ready.plan.refusal
        if refusal is None and literals.hint is not None:
            mask, refusal = self._hinted(record.sql[slice(*literals.hint)], ready.plan, mask)
        share = self._share(ready.plan, mask, refusal) if parses else Share.UNPARSED
        way = None
        if share is Share.SEVERAL and refusal is None:
            way = way_of(record.sql, ready.plan, self.catalog, self.sharding, self.search_path)
            refusal = way if isinstance(way, Refusal) else None if way else ready.plan.unless_single
        explained = tuple(self._lines(record, ready.plan, mask, share, refusal, way))
        return Judged(record, literals.template, share, ready.plan, mask, refusal, explained)

    def _mask(self, ready: ReadyPlan, record: Record) -> tuple[int | None, Refusal | None]:
        """The shards, as far as they can be known, or why no shard can."""
        plan = ready.plan
        if plan.verdict is not Verdict.ROUTED:
            return _masks(plan, self.sharding), None
        try:
            return ready.mask_of(Call(record.sql, _bind(record.parameters))), None
        except NotCoercible:
            return 1 << self.sharding.home, None
        except KeyUnknown:
            return (None if record.parameters is None else self.sharding.every), None
        except KeyNotMapped as problem:
            if _is_looked_up(plan.where):
                return None, None  # the directory is on the home shard, and says of each key where it is
            return None, Refusal(f"no shard is said to have this key: {problem}")

    def _hinted(self, comment: bytes, plan: RoutePlan, mask: int | None) -> tuple[int | None, Refusal | None]:
        """What a comment of the client's chooses among the shards."""
        try:
            said = shard_of_comment(comment, self.sharding)
        except TrunklineError as error:
            return mask, Refusal(error.message, error.hint or "", error.sqlstate)
        if plan.verdict is Verdict.EVERY and plan.writes:
            return mask, None
        free = plan.verdict is not Verdict.ROUTED and (plan.verdict is not Verdict.HOME or may_choose(plan, True))
        wide = self.sharding.every if mask is None or free else mask
        if wide >> said & 1 or wide == 0:
            return 1 << said, None
        names = ", ".join(self.sharding.names_of(wide))
        name = self.sharding.shards[said]
        return mask, Refusal(f"a comment says shard {name}, and the statement concerns {names}")

    def _share(self, plan: RoutePlan, mask: int | None, refusal: Refusal | None) -> Share:
        if refusal is not None:
            return Share.REFUSED
        if plan.verdict is Verdict.ROUTED and mask != 0:
            single = is_single(plan.where) if mask is None else mask.bit_count() == 1
            return Share.ONE if single else Share.SEVERAL
        if plan.verdict is Verdict.EVERY and mask is not None:
            return Share.SEVERAL if mask.bit_count() > 1 else Share.ONE
        return Share.FREE

    def _lines(
        self,
        record: Record,
        plan: RoutePlan,
        mask: int | None,
        share: Share,
        refusal: Refusal | None,
        way: str | Refusal | None,
    ) -> Iterable[str]:
        said = list(lines(plan, mask, self.sharding, record.sql, way=way))
        if mask is None and plan.verdict is Verdict.ROUTED and _is_looked_up(plan.where):
            said[0] = "Route: by the directory"
        yield from said
        if share is Share.REFUSED and refusal is not None and refusal is not plan.refusal:
            yield f"  Refused: {refusal.reason}"
            if refusal.hint:
                yield f"  Hint: {refusal.hint}"


def _parses(sql: bytes, plan: RoutePlan) -> bool:
    """Whether it is SQL at all: to a router what does not parse is a statement for the home shard."""
    if plan.verdict is not Verdict.HOME or plan.occurrences:
        return True
    try:
        parse_any(sql)
    except SyntaxProblem:
        return False
    except Unparsed:
        return True
    return True


def _masks(plan: RoutePlan, sharding: Sharding) -> int | None:
    if plan.verdict is Verdict.EVERY:
        return sharding.every
    return 1 << sharding.home if plan.verdict is Verdict.HOME else None


def _is_looked_up(where: Where) -> bool:
    if isinstance(where, (All, AnyOf)):
        return any(map(_is_looked_up, where.parts))
    return not isinstance(where, Fixed) and where.function.name == "lookup"


def _bind(parameters: tuple[bytes | None, ...] | None) -> bytes | None:
    """As a Bind has them, from behind its names: all as text."""
    if parameters is None:
        return None
    parts = [b"\0\0", len(parameters).to_bytes(2, "big")]
    for value in parameters:
        parts.append(b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big") + value)
    return b"".join([*parts, b"\0\0"])
