"""Without shards all goes to one place; who may answer is decided, and nothing is ever refused."""

from __future__ import annotations

import pytest

from tests.unit.routing.planning.test_replicas import CATALOG
from trunkline.execution.whole import WholeRouter
from trunkline.protocol.params import Params
from trunkline.routing.keys.sharding import Sharding


@pytest.fixture
def router() -> WholeRouter:
    made = WholeRouter("app")
    made.learn(CATALOG, Sharding(("",), 0))
    return made


def test_it_knows_that_there_are_no_shards(router: WholeRouter) -> None:
    assert router.whole
    assert router.session_of(Params.of({}, {}), "ann")[1] is None
