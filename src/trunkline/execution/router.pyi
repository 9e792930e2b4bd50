from typing import Any

from trunkline.execution.new_catalog import NewCatalog
from trunkline.protocol.params import Params
from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.plans.plan_cache import PlanCache
from trunkline.routing.schema.catalog import Catalog

class Context:
    number: int
    path: tuple[str, ...]
    standard: bool
    utf8: bool

class Router:
    database: str
    sharding: Sharding
    catalog: Catalog
    home: int
    cache: PlanCache
    stale: NewCatalog | None
    generation: int
    def __init__(self, database: str) -> None: ...
    def learn(self, catalog: Catalog, sharding: Sharding) -> None: ...
    def counts(self) -> list[tuple[str, str, int]]: ...
    def session_of(self, params: Params, user: str) -> tuple[tuple[str, ...], Any]: ...
