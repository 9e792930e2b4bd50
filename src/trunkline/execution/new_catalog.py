"""Statements that begin after DDL wait until the catalog has been read anew: by the old one they could go elsewhere.

While it cannot be read they are refused, for nobody knows what they mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from trunkline.errors import StatementRefused, TrunklineError
from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.plans.plan import RoutePlan
from trunkline.routing.schema.catalog import Catalog


class NewCatalog:
    """One that is being read (`Router.stale`). In the place of an `Apart`, for all who wait for it."""

    __slots__ = ("_waiting", "error", "keeps_up")

    plan = None
    used = False
    lets_end = False  # what is in the middle of a transaction goes on, by the old catalog
    lets_definer = True  # who has changed the schema himself goes on: it may be read only when he has ended

    def __init__(self, *, keeps_up: bool = False) -> None:
        self.keeps_up = keeps_up  # the reading of a catalog is not its end
        self.error: TrunklineError | None = None
        self._waiting: list[Callable[[BaseException | None], None]] = []

    def lets(self, plan: RoutePlan | None) -> bool:
        """Whether a statement means the same by any catalog that may come."""
        return False

    def take_over(self, other: NewCatalog) -> None:
        """This is waited for from now on, in the other's place."""
        waiting, other._waiting = other._waiting, []
        self._waiting += waiting

    def is_of(self, sql: bytes, context: object) -> bool:
        return False

    def begin(self, catalog: Catalog, sharding: Sharding, done: Callable[[BaseException | None], None]) -> None:
        """`done` is called on the loop when it has been read, or cannot be."""
        self._waiting.append(done)

    def tell(self, error: TrunklineError | None) -> None:
        """It has been read, or this is why not: who waits for it is decided for anew."""
        if error is not None:
            self.error = self._refusal(error)
            self.error.sqlstate = error.sqlstate
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            asyncio.get_running_loop().call_soon(done, None)

    def _refusal(self, error: TrunklineError) -> TrunklineError:
        return StatementRefused(f"the schema has changed, and cannot be read anew: {error.message}")
