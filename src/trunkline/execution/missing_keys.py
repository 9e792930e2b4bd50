"""A statement with a key that its directory lacks waits until that was asked, as for the plan of a long text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trunkline.routing.keys.shard_functions import LookupFunction
from trunkline.routing.keys.sharding import KeyMissing, Sharding
from trunkline.routing.schema.catalog import Catalog


@dataclass(slots=True)
class AskedKey:
    """In the place of an `Apart`, but without a plan that would be kept."""

    missing: KeyMissing
    plan: None = None
    used: bool = False

    def is_of(self, sql: bytes, context: object) -> bool:
        return False

    def begin(self, catalog: Catalog, sharding: Sharding, done: Callable[[BaseException | None], None]) -> None:
        """`done` is called on the loop once the directory has learnt what there is to know."""
        assert self.missing.directory.ask is not None
        self.missing.directory.ask(self.missing.key, done)


def forget_absent(sharding: Sharding) -> None:
    """Ask again for keys that the directories lacked: something was written that may be one of them."""
    for rule in sharding.tables.values():
        if isinstance(rule.function, LookupFunction):
            rule.function.directory.forget_absent()
