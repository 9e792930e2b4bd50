from trunkline.routing.plans.evaluation import ReadyPlan
from trunkline.routing.plans.plan import RoutePlan
from trunkline.routing.text.fingerprint import Fingerprint

class Known:
    ready: ReadyPlan
    special: bool
    note: object
    calls: int
    time_s: float
    shards: int

class Entry:
    context: int
    @property
    def template(self) -> str: ...
    @property
    def plan(self) -> RoutePlan: ...
    @property
    def variants(self) -> list[Known]: ...
    @property
    def calls(self) -> int: ...
    @property
    def time_s(self) -> float: ...
    @property
    def shards(self) -> int: ...

class PlanCache:
    capacity: int
    max_bytes: int
    entries: int
    used_bytes: int
    hits: int
    misses: int
    evictions: int
    def __init__(self, capacity: int = ..., max_bytes: int = ...) -> None: ...
    def get(self, found: Fingerprint, text: bytes, context: int = ...) -> Known | None: ...
    def put(
        self, found: Fingerprint, text: bytes, plan: RoutePlan, context: int = ..., note: object = ...
    ) -> Known: ...
    def clear(self) -> None: ...
    def by_use(self) -> list[Entry]: ...
