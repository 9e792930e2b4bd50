"""Places: lists that sockets are in, in order, with O(1) moves."""

import asyncio

from trunkline.net.engine import Engine
from trunkline.net.link import Link
from trunkline.net.place import Place


async def test_links_stand_in_the_order_in_which_they_came() -> None:
    engine = Engine(asyncio.get_running_loop())
    place: Place[Link] = Place("waiting")
    links = [Link(engine) for _ in range(4)]
    for link in links:
        link.move_to(place)
    assert list(place) == links
    assert len(place) == 4
    links[1].move_to(None)
    assert list(place) == [links[0], links[2], links[3]]
    assert links[1].place is None
    engine.close()


async def test_a_link_is_in_one_place_only() -> None:
    engine = Engine(asyncio.get_running_loop())
    idle: Place[Link] = Place("idle")
    active: Place[Link] = Place("active")
    link = Link(engine)
    link.move_to(idle)
    link.move_to(active)
    assert (len(idle), len(active)) == (0, 1)
    assert link.place is active
    link.close()
    assert len(active) == 0
    engine.close()


async def test_a_place_can_change_while_it_is_walked() -> None:
    engine = Engine(asyncio.get_running_loop())
    place: Place[Link] = Place("idle")
    for _ in range(3):
        Link(engine).move_to(place)
    for link in place:
        link.close()
    assert list(place) == []
    assert repr(place) == "<Place idle 0>"
    engine.close()
