"""Where statements go by what is believed of the servers: the rules of `standing`."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from tests.unit.pool.test_topology import GONE, NAMED, OTHER, PRIMARY, REPLICA, Happening, after, events, look, sights
from trunkline.pool.standing import Standing, standing_of
from trunkline.pool.topology import Memory, Sight, State, Topology, judge

PROMOTED = replace(REPLICA, in_recovery=False, timeline=2, written=60)
RIVAL = replace(REPLICA, in_recovery=False, written=60)


def stand(topology: Topology, *, asking: bool = True) -> Standing:
    return standing_of(topology, NAMED, asking=asking)


def test_statements_go_to_whom_is_believed_and_not_to_whom_the_settings_name() -> None:
    assert stand(look(REPLICA, PRIMARY, OTHER)) == Standing(("b",), frozenset("ac"))


def test_until_all_have_been_asked_for_the_first_time_statements_wait() -> None:
    assert stand(look(None, REPLICA, OTHER)).at == ()
    assert stand(look(GONE, None, None)).at == ()


def test_with_nobody_to_ask_as_it_is_who_the_settings_name() -> None:
    assert stand(look(None, None, None), asking=False) == Standing(("a",))


def test_who_could_never_be_asked_is_tried_all_the_same() -> None:
    assert stand(look("password authentication failed", GONE, GONE)).at == ("a",)


def test_who_the_settings_name_is_not_tried_once_it_is_known_to_be_something_else() -> None:
    assert stand(look(REPLICA, GONE, GONE)) == Standing((), frozenset("a"))
    assert stand(after((PRIMARY, PROMOTED, None), (PRIMARY, GONE, None))) == Standing((), frozenset("a"))


def test_once_a_primary_was_believed_its_loss_is_waited_out() -> None:
    assert stand(after((PRIMARY, REPLICA, OTHER), (GONE, REPLICA, OTHER))) == Standing((), frozenset("bc"))


def test_the_one_before_is_deposed_when_another_is_believed_even_if_it_is_silent() -> None:
    assert stand(after((PRIMARY, REPLICA, OTHER), (GONE, PROMOTED, OTHER))) == Standing(("b",), frozenset("ac"))


def test_another_address_of_the_primary_is_not_deposed() -> None:
    assert stand(look(PRIMARY, REPLICA, PRIMARY)) == Standing(("a",), frozenset("b"))


def test_two_of_one_timeline_are_a_dispute() -> None:
    standing = stand(look(PRIMARY, RIVAL, None))
    assert standing == Standing((), frozenset("ab"), "b is not in recovery either, with the same timeline 1")


def test_one_that_is_alive_without_an_answer_stays_where_it_was() -> None:
    seen = sights(PRIMARY, REPLICA) | {"a": Sight(PRIMARY, "too many connections", alive=True)}
    topology = judge(seen, NAMED, Memory())
    assert stand(topology).at == ("a",)
    assert topology.members["a"].why == "too many connections"


@given(events)
def test_statements_never_go_to_a_server_that_is_known_not_to_be_the_primary(happening: Happening) -> None:
    known = dict.fromkeys(("a", "b", "c"), Sight())
    topology = Topology()
    for name, event in happening:
        known[name] = Sight(known[name].last, event) if isinstance(event, str) else Sight(event)
        topology = judge(known, NAMED, topology.memory)
        standing = stand(topology)
        assert standing.deposed.isdisjoint(standing.at)
        assert all(topology.members[name].state in (State.UP, State.UNREACHABLE) for name in standing.at)
