"""A plan made in a thread is the plan; it is of one text and one session's context."""

from __future__ import annotations

import asyncio

from trunkline.execution.apart import Apart
from trunkline.execution.router import Router
from trunkline.protocol.params import Params
from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.plans.plan import Verdict
from trunkline.routing.schema.catalog import Catalog

SQL = b"SELECT 1" + b" " * 70_000


async def test_a_plan_comes_with_its_text_and_context() -> None:
    router = Router("shop")
    router.learn(Catalog(), Sharding(("s0", "s1"), home=1))
    context, _ = router.session_of(Params.of({}, {}), "ann")
    other, _ = router.session_of(Params.of({b"search_path": b"sales"}, {}), "ann")
    wanted, heard = Apart(SQL, context), asyncio.get_running_loop().create_future()
    wanted.begin(router.catalog, router.sharding, heard.set_result)
    assert await heard is None
    assert wanted.plan is not None
    assert wanted.plan.verdict is Verdict.ANYWHERE
    assert wanted.is_of(bytes(bytearray(SQL)), context)
    assert not wanted.is_of(SQL[:-1], context)
    assert not wanted.is_of(SQL, other)
