"""What a router knows of a session: its search_path, how it reads strings, and the shard that it says."""

from __future__ import annotations

from trunkline.errors import UnknownShard
from trunkline.execution.router import Router
from trunkline.protocol.params import Params
from trunkline.routing.keys.sharding import Sharding
from trunkline.routing.schema.catalog import Catalog

STANDARD = {b"standard_conforming_strings": b"on"}


def router() -> Router:
    made = Router("shop")
    made.learn(Catalog(), Sharding(("s0", "s1"), home=1))
    return made


def test_sessions_of_one_search_path_share_what_is_known_of_texts() -> None:
    made = router()
    first, _ = made.session_of(Params.of(STANDARD, {}), "ann")
    same, _ = made.session_of(Params.of({**STANDARD, b"DateStyle": b"ISO"}, {}), "ann")
    other, _ = made.session_of(Params.of(STANDARD, {b"search_path": b"sales"}), "ann")
    odd, _ = made.session_of(Params.of({b"standard_conforming_strings": b"off"}, {}), "ann")
    assert same is first
    assert len({first.number, other.number, odd.number}) == 3
    assert (first.path, other.path, odd.standard) == (("ann", "public"), ("sales",), False)


def test_a_session_says_a_shard_or_one_that_there_is_not() -> None:
    made = router()
    assert made.session_of(Params.of(STANDARD, {b"trunkline.shard": b"s1"}), "ann")[1] == 1
    assert isinstance(made.session_of(Params.of(STANDARD, {b"trunkline.shard": b"s7"}), "ann")[1], UnknownShard)
    assert made.session_of(Params.of(STANDARD, {}), "ann")[1] is None


def test_it_knows_its_home() -> None:
    assert router().home == 1
