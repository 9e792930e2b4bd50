"""A router of two shards with one sharded table, for tests of what is done over both."""

from __future__ import annotations

from trunkline.execution.router import Context, Router
from trunkline.protocol.params import Params
from trunkline.routing.keys.shard_functions import ModuloFunction, Rule
from trunkline.routing.keys.sharding import Kind, Sharding, TableRule
from trunkline.routing.schema.catalog import Catalog, Column, Relation

CUSTOMERS = Relation("public", "customers", columns=(Column("id", "int8"), Column("name", "text")))


def shop() -> tuple[Router, Context]:
    """An even id is at the first shard, an odd one at the second."""
    function = ModuloFunction(Rule(("int8",), ("s0", "s1")))
    sharding = Sharding(("s0", "s1"), tables={"customers": TableRule(Kind.SHARDED, ("id",), function)})
    router = Router("shop")
    router.learn(Catalog({("public", "customers"): CUSTOMERS}), sharding)
    context, _ = router.session_of(Params.of({b"standard_conforming_strings": b"on"}, {}), "ann")
    return router, context
