"""Places: a link is in one at most, and they keep the order of arrival whoever leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.net.engine import Engine
from trunkline.net.link import Link
from trunkline.net.place import Place


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    made = Engine(asyncio.get_running_loop())
    yield made
    made.close()


async def test_a_link_is_in_one_place_at_most(engine: Engine) -> None:
    one, other = Place("one"), Place("other")
    link = Link(engine)
    link.move_to(one)
    link.move_to(other)
    assert (len(one), len(other), link.place) == (0, 1, other)
    link.close()
    assert (len(other), link.place) == (0, None)


async def test_a_place_may_be_emptied_while_it_is_walked(engine: Engine) -> None:
    place, other = Place("one"), Place("other")
    links = [Link(engine) for _ in range(5)]
    for link in links:
        link.move_to(place)
    for link in place:
        link.move_to(other)
    assert list(other) == links
    assert not list(place)


def test_repr_of_a_place_shows_how_many_are_in_it() -> None:
    assert repr(Place("idle")) == "<Place idle 0>"


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3)), max_size=80))
def test_places_keep_the_order_of_arrival_whoever_leaves(moves: list[tuple[int, int]]) -> None:
    async def walk() -> None:
        engine = Engine(asyncio.get_running_loop())
        places: list[Place[Link]] = [Place(name) for name in "abc"]
        model: list[list[Link]] = [[], [], []]
        links = [Link(engine) for _ in range(8)]
        for who, where in moves:
            for line in model:
                if links[who] in line:
                    line.remove(links[who])
            links[who].move_to(places[where] if where < 3 else None)
            if where < 3:
                model[where].append(links[who])
            assert [list(place) for place in places] == model
            assert [len(place) for place in places] == [len(line) for line in model]
        engine.close()

    asyncio.run(walk())
