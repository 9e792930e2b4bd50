"""A statement that concerns several shards, as programs are made of it, and the plainest of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.planning.analysis import Analysis
from trunkline.routing.planning.commands import bind_statement
from trunkline.routing.planning.queries import bind_select
from trunkline.routing.planning.writes import bind_write
from trunkline.routing.plans.plan import RoutePlan
from trunkline.routing.schema.catalog import Catalog
from trunkline.routing.sql import Node


@dataclass(frozen=True, slots=True)
class Request:
    """One statement: its text alone, in which parameters are $n, and what it was found to mean."""

    sql: bytes
    kind: str  # of its parse tree: SelectStmt, InsertStmt, CopyStmt, ...
    node: Node
    catalog: Catalog
    sharding: Sharding
    search_path: tuple[str, ...]
    plan: RoutePlan

    def analysis(self) -> Analysis:
        """For another reading of its text."""
        return Analysis(
            self.sql, self.catalog, self.sharding, self.search_path, bind_select, bind_write, bind_statement
        )


@dataclass(frozen=True, slots=True)
class Concatenation:
    """`sql` at each shard, and the rows of one behind those of another: no order among them is asked for.

    ``otherwise`` is a Gather, if there is one, for shards whose types have other numbers.
    """

    sql: bytes
    otherwise: Any = None
    locks: bool = False  # its rows (FOR UPDATE), or writes some
