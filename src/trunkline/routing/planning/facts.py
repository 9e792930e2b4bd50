"""What is gathered from a statement while it is read: which tables, in which way, and what forbids what."""

from __future__ import annotations

from dataclasses import dataclass, field

from trunkline.routing.keys.sharding import TableRule
from trunkline.routing.planning.deduction import Environment, Sought, any_of
from trunkline.routing.planning.scopes import Variables
from trunkline.routing.plans.plan import Fixed, Refusal, Where

MAX_BINDINGS = 2000  # of queries and tables in one statement; views and CTEs count at each use


class TooComplex(Exception):
    """More than anybody writes: views of views of views, each twice."""


@dataclass(slots=True)
class Use:
    """One occurrence of what lies by a key: a sharded table, or a function that was declared with one."""

    table: str
    alias: str
    rule: TableRule
    key: tuple[int, ...] = ()
    writes: bool = False
    kind: str = "sharded"
    environments: list[Environment] = field(default_factory=list)
    fixed: Where | None = None  # if it does not depend on conditions
    besides: Where | None = None  # where its rows come to be, beside where they are
    nowhere: int = 0  # the mask of where a new row is put whose key is NULL; 0: its rows are there already

    def where(self, doubtful: frozenset[int]) -> Where:
        here = self._where(doubtful)
        return here if self.besides is None else any_of([here, self.besides])

    def _where(self, doubtful: frozenset[int]) -> Where:
        function = self.rule.function
        if self.fixed is not None or function is None:
            return self.fixed if self.fixed is not None else Fixed(0)
        found = []
        for environment in self.environments or [Environment()]:
            where = environment.knowledge().where(Sought(self.key, function, doubtful, self.nowhere))
            found.append(Fixed(function.every) if where is None else where)
        return any_of(found)


@dataclass(slots=True)
class Facts:
    """What has been seen so far."""

    variables: Variables = field(default_factory=Variables)
    uses: list[Use] = field(default_factory=list)
    tables: dict[str, None] = field(default_factory=dict)  # in the order of their appearance
    home: dict[str, bool] = field(default_factory=dict)  # table -> it is written or locked
    reference: dict[str, bool] = field(default_factory=dict)
    system: dict[str, bool] = field(default_factory=dict)
    at_home: str = ""  # what else binds it to the home shard: a sequence, an advisory lock
    unseen: str = ""  # a function that touches sharded tables in a way that is not known
    refusal: Refusal | None = None  # the first
    single: Refusal | None = None  # the first reason why it must not be spread
    moving: Refusal | None = None  # why each shard cannot do its part alone: rows come from one and belong to another
    own_write: bool = False  # the client's own statement writes, not only what it calls or has in WITH
    fixed: set[int] = field(default_factory=set)
    limits: set[int] = field(default_factory=set)  # literals of LIMIT and OFFSET
    every: dict[str, None] = field(default_factory=dict)  # what has to be done on every shard besides
    declares: bool = False  # it calls what no server has
    session: bool = False
    writes: bool = False
    locks: bool = False
    volatile: bool = False
    differs: bool = False  # it computes what may differ from shard to shard: the time, or anything volatile
    configures: bool = False  # it calls set_config(), by itself or in a function
    parameters: dict[int, set[str]] = field(default_factory=dict)  # number -> families it is compared as
    anywhere: bool = False  # it goes where the transaction is
    bindings: int = 0
    calls: int = 0  # of functions
    draws: list[tuple[str, str]] = field(default_factory=list)  # what has to do with ids, as planning/ids.py has it
    keeps: dict[str, None] = field(default_factory=dict)  # tables with values of global unique indexes that may change
    advances: dict[str, None] = field(default_factory=dict)  # sequences that defaults and calls advance
    primary: str = ""  # the first reason, beside writes and locks, why no replica may answer
    always_primary: str = ""  # the first that holds in a READ ONLY transaction too

    def count(self) -> None:
        self.bindings += 1
        if self.bindings > MAX_BINDINGS:
            raise TooComplex

    def refuse(self, reason: str, hint: str = "", sqlstate: str = "0A000") -> None:
        if self.refusal is None:
            self.refusal = Refusal(reason, hint, sqlstate)

    def demand_single(self, reason: str, hint: str = "") -> None:
        if self.single is None:
            self.single = Refusal(reason, hint)

    def move(self, reason: str, hint: str = "") -> None:
        if self.moving is None:
            self.moving = Refusal(reason, hint)

    def demand_primary(self, reason: str, *, always: bool = True) -> None:
        """`always`: in a READ ONLY transaction too, in which a replica itself refuses whatever writes."""
        self.primary = self.primary or reason
        if always:
            self.always_primary = self.always_primary or reason

    def doubtful(self) -> frozenset[int]:
        """Parameters that are used as values of more than one kind: which type they have is not certain."""
        return frozenset(number for number, kinds in self.parameters.items() if len(kinds) > 1)
