"""Studies: what is known of a text that concerned several shards, for the next call of it.

By its text alone (not its template: a program is made of one text) and by the context that it was read in, which ends
with the catalog. A text is planned, turned into a program and described by a shard once.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from trunkline.errors import StatementRefused
from trunkline.execution.refusals import not_mapped, refused
from trunkline.execution.spread.description import Description, of_call
from trunkline.routing.keys.sharding import KeyMissing, KeyNotMapped, KeyUnknown, NotCoercible
from trunkline.routing.planning.planner import plan as make_plan
from trunkline.routing.plans.call import Call
from trunkline.routing.plans.evaluation import ReadyPlan
from trunkline.routing.plans.plan import Refusal, Verdict, Where
from trunkline.routing.session.session_effects import stays
from trunkline.routing.spreading.declaring import Placing
from trunkline.routing.spreading.drawing_again import Pattern, pattern_of
from trunkline.routing.spreading.drawing_slots import Drawing
from trunkline.routing.spreading.indexing import Indexing
from trunkline.routing.spreading.planner import Program, program_of
from trunkline.routing.spreading.request import Request
from trunkline.routing.spreading.unique_lookup import UniqueLookup, lookup_of
from trunkline.routing.sql import Unparsed, parse_any
from trunkline.routing.text.fingerprint import Fingerprint

if TYPE_CHECKING:
    from trunkline.execution.router import Context, Router
    from trunkline.pool.pool import Pool

CAPACITY = 256  # some 30 kB each


@dataclass(slots=True)
class Study:
    """`descriptions` are by the types that were declared for the parameters."""

    sql: bytes
    request: Request | None  # None: it is no single statement that parses
    ready: ReadyPlan
    every: int
    descriptions: dict[tuple[int, ...], Description] = field(default_factory=dict)
    leaves: tuple[object, bool] = (None, False)  # what was known of effects, and whether it leaves something by that
    shapes: dict[object, Any] = field(default_factory=dict)  # of calls that are asked at once (at_once.Shape)
    standard: bool = True  # standard_conforming_strings
    lookup: UniqueLookup | None = None  # once there is a program: what finds the shard of its rows
    _program: Program | Drawing | Refusal | None = None

    @property
    def program(self) -> Program | Drawing | Refusal:
        """How it is answered where it concerns several shards."""
        if self._program is None:
            assert self.request is not None
            self._program = program_of(self.request)
            self.lookup = lookup_of(self.request, self.standard)
            self.request = replace(self.request, node={})  # the tree, which is large, has done its work
        return self._program

    def description_of(self, types: tuple[int, ...]) -> Description | None:
        """What is known of its parameters and columns; of a call of ours all, for no server knows of it."""
        known = self.descriptions.get(types)
        request = self.request
        if known is not None or request is None:
            return known
        if not self._is_at_every_shard:
            return None
        program = self.program
        if isinstance(program, Refusal):
            raise refused(program)
        return of_call(program.title, program.parameters) if isinstance(program, Placing | Indexing) else None

    @property
    def draws(self) -> bool:
        """Whether ids are drawn before it runs."""
        return self.request is not None and self.ready.plan.draws is not None

    @property
    def _is_at_every_shard(self) -> bool:
        request = self.request
        return request is not None and request.kind == "SelectStmt" and request.plan.verdict is Verdict.EVERY

    @property
    def is_call_of_ours(self) -> bool:
        """Whether it calls what no server has: `create_distributed_table` and its like."""
        return self._is_at_every_shard and isinstance(self.program, Placing | Indexing)

    @property
    def syntax_error(self) -> StatementRefused | None:
        """Why it does not parse, as PostgreSQL would say; None: it does, or nobody knows."""
        found = self.ready.plan.unless_single
        return refused(found) if self.request is None and found is not None and found.sqlstate == "42601" else None

    def leaves_something(self, pool: Pool, context: Context) -> bool:
        """Whether it leaves something in its server's session, as far as that is known of the servers of a pool."""
        if not pool.exact or self.ready.plan.draws is not None:
            return False  # what draws ids is looked at when they are there
        effects = pool.sessions.effects
        if self.leaves[0] is not effects:
            leaves = self.syntax_error is None and stays(effects.of(self.sql), self.sql, context.path)
            self.leaves = (effects, leaves)
        return self.leaves[1]

    def mask(self, call: Call, where: Where | None = None) -> int:
        """The shards that a call concerns, of the whole or of one condition; a value that nobody can read: all.

        StatementRefused for a key that has no shard; KeyMissing if its directory is to be asked first.
        """
        try:
            return self.ready.mask_of(call, where)
        except KeyMissing:
            raise
        except KeyNotMapped as reason:
            error = not_mapped(reason)
            assert isinstance(error, StatementRefused)
            raise error from None
        except KeyUnknown:
            return self.every
        except NotCoercible:
            return 0

    def masks(self, call: Call) -> tuple[int, ...]:
        """Of each occurrence of a table."""
        return tuple(self.mask(call, one.where) for one in self.ready.plan.occurrences)


class Studies:
    """Those of one database, the last used last."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[bytes, Context], Study] = OrderedDict()
        self._patterns: OrderedDict[tuple[bytes, Context], Pattern] = OrderedDict()
        self._fingerprint = Fingerprint()

    def of(self, sql: bytes, router: Router, context: Context) -> Study:
        """The study of a text in the context of a session."""
        key = (sql, context)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = _study(sql, router, context)
            if len(self._known) > CAPACITY:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return found

    def drawing_of(self, sql: bytes, router: Router, context: Context) -> Drawing | None:
        """By which ids are drawn for a text, if that is known of it, or of one that differs in its literals only."""
        known = self._known.get((sql, context))
        if known is not None:
            return known.program if known.draws and isinstance(known.program, Drawing) else None
        self._fingerprint.read(sql, context.standard)
        if not context.standard or not self._fingerprint.cacheable:
            return None
        key = (self._fingerprint.key, context)
        pattern = self._patterns.get(key)
        if pattern is not None:
            return pattern.drawing(sql)
        study = self.of(sql, router, context)
        if not study.draws or not isinstance(study.program, Drawing):
            return None
        pattern = pattern_of(sql, study.program, study.ready.plan.fixed)
        if pattern is not None:
            self._patterns[key] = pattern
            if len(self._patterns) > CAPACITY:
                self._patterns.popitem(last=False)
        return study.program


def _study(sql: bytes, router: Router, context: Context) -> Study:
    plan = make_plan(sql, router.catalog, router.sharding, context.path)
    ready = ReadyPlan(plan, Fingerprint(sql, context.standard), sql)
    try:
        statements = parse_any(sql)
    except Unparsed:
        statements = []
    request = None
    if len(statements) == 1:
        kind, node = statements[0]
        request = Request(sql, kind, node, router.catalog, router.sharding, context.path, plan)
    return Study(sql, request, ready, router.sharding.every, standard=context.standard)
