"""What statements wait for, or are refused for, while it is not known where tables lie (`placement`)."""

from __future__ import annotations

from trunkline.config.sharding import ShardingSettings
from trunkline.errors import TrunklineError
from trunkline.execution.new_catalog import NewCatalog
from trunkline.routing.plans.plan import RoutePlan, Verdict
from trunkline.routing.schema.declared import written
from trunkline.shard_errors import PlacementUnsure

_OF_THE_FILE = frozenset(("sharded", "reference", "schema"))


class Fence(NewCatalog):
    """In the place of a catalog that is being read; only the end of a change takes it away."""

    __slots__ = ()

    lets_end = True


class Unsure(NewCatalog):
    """Whether another process has changed something is not known: that of the configuration file holds in any case."""

    __slots__ = ("_settings",)

    lets_definer = False

    def __init__(self, settings: ShardingSettings | None) -> None:
        super().__init__(keeps_up=True)
        self._settings = settings

    def lets(self, plan: RoutePlan | None) -> bool:
        """Only tables of the file, or none at all."""
        if plan is None or self._settings is None or plan.verdict not in (Verdict.ROUTED, Verdict.ANYWHERE):
            return False
        settings = self._settings
        return all(
            found.kind in _OF_THE_FILE and (found.kind == "schema" or written(settings, found.table) is not None)
            for found in plan.occurrences
        ) and all(written(settings, table) is not None or _schema(table) in settings.schemas for table in plan.tables)

    def doubt(self) -> TrunklineError:
        """Nobody has said yet why not."""
        return PlacementUnsure("where the tables of this database lie is not known for sure now")

    def _refusal(self, error: TrunklineError) -> TrunklineError:
        return PlacementUnsure(f"where the tables of this database lie is not known for sure now: {error.message}")


def _schema(table: str) -> str:
    return table.partition(".")[0]
