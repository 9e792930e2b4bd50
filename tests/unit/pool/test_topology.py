"""Who is believed to be primary and replica, and who is not, whatever servers say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from trunkline.pool.topology import Memory, Observation, Role, Sight, State, Topology, judge

NAMES = ("a", "b", "c")
NAMED = ("a",)
PRIMARY = Observation(at=1.0, in_recovery=False, timeline=1, system=7, started=100, written=50)
REPLICA = Observation(at=1.0, in_recovery=True, timeline=1, system=7, started=200, received=50, replayed=40)
OTHER = replace(REPLICA, started=300)
GONE = "cannot connect"
NOTHING = Memory()


def sights(*seen: Observation | str | None) -> dict[str, Sight]:
    """What is known of a, b and c: an answer, why there is none, or nothing yet."""
    known = (Sight(error=one) if isinstance(one, str) else Sight(one) for one in seen)
    return dict(zip(NAMES, known, strict=False))


def found(topology: Topology) -> list[tuple[str, str]]:
    return [(str(member.role), str(member.state)) for member in topology.members.values()]


def look(*seen: Observation | str | None, memory: Memory = NOTHING) -> Topology:
    return judge(sights(*seen), NAMED, memory)


def after(*moments: tuple[Observation | str | None, ...]) -> Topology:
    """What is believed after all these moments, one after the other."""
    topology = Topology()
    for seen in moments:
        topology = look(*seen, memory=topology.memory)
    return topology


# --- one server over time ---------------------------------------------------------------------------------------------


def test_a_replica_that_has_lost_its_primary_is_still_on_its_timeline() -> None:
    """It shows the one of its last restartpoint only."""
    assert REPLICA.after(replace(REPLICA, timeline=3)) == replace(REPLICA, timeline=3)
    assert replace(REPLICA, timeline=4).after(replace(REPLICA, timeline=3)).timeline == 4
    assert REPLICA.after(None) == REPLICA


def test_a_server_that_was_started_anew_is_what_it_says() -> None:
    assert REPLICA.after(replace(REPLICA, timeline=3, started=1)) == REPLICA


# --- who is who -------------------------------------------------------------------------------------------------------


def test_roles_are_what_servers_say_and_not_what_the_settings_call_them() -> None:
    topology = look(REPLICA, PRIMARY, OTHER)
    assert found(topology) == [("replica", "up"), ("primary", "up"), ("replica", "up")]
    assert topology.primary is not None and topology.primary.name == "b"
    assert [member.name for member in topology.replicas] == ["a", "c"]


def test_nothing_is_said_of_a_server_that_has_not_been_asked() -> None:
    assert found(look(PRIMARY, None)) == [("primary", "up"), ("", "unseen")]


def test_a_server_that_does_not_answer_keeps_its_role_and_is_not_believed() -> None:
    topology = judge({"a": Sight(PRIMARY, GONE), "b": Sight(REPLICA)}, NAMED, Memory())
    assert found(topology) == [("primary", "unreachable"), ("replica", "up")]
    assert topology.primary is None
    assert topology.members["a"].why == GONE


def test_without_a_primary_there_are_replicas_all_the_same() -> None:
    assert [member.name for member in look(GONE, REPLICA, OTHER).replicas] == ["b", "c"]


# --- timelines --------------------------------------------------------------------------------------------------------


def test_of_two_primaries_the_one_with_the_older_timeline_is_not_believed() -> None:
    topology = look(PRIMARY, replace(REPLICA, in_recovery=False, timeline=2))
    assert found(topology) == [("primary", "old timeline"), ("primary", "up")]
    assert topology.members["a"].why == "its timeline is 1, the newest is 2"


def test_an_old_primary_is_not_believed_when_the_new_one_has_gone() -> None:
    topology = after((PRIMARY, replace(REPLICA, in_recovery=False, timeline=2)), (PRIMARY, GONE))
    assert found(topology) == [("primary", "old timeline"), ("", "unreachable")]


def test_an_old_primary_is_not_believed_when_a_replica_follows_a_newer_timeline() -> None:
    topology = look(PRIMARY, GONE, replace(OTHER, timeline=2))
    assert found(topology) == [("primary", "old timeline"), ("", "unreachable"), ("replica", "up")]


def test_a_replica_of_an_older_timeline_is_not_believed() -> None:
    promoted = replace(PRIMARY, timeline=2)
    assert found(look(promoted, REPLICA)) == [("primary", "up"), ("replica", "old timeline")]
    topology = look(promoted, replace(REPLICA, receiver_is_hidden=True))
    assert topology.members["b"].why.endswith("to see which one it streams, its user needs pg_read_all_stats")


def test_of_two_primaries_with_one_timeline_none_is_believed() -> None:
    topology = look(PRIMARY, replace(REPLICA, in_recovery=False), OTHER)
    assert found(topology) == [("primary", "split brain"), ("primary", "split brain"), ("replica", "up")]
    assert topology.members["a"].why == "b is not in recovery either, with the same timeline 1"


def test_a_second_primary_with_one_timeline_is_not_believed_when_the_first_has_gone() -> None:
    topology = after((PRIMARY, REPLICA), (GONE, replace(REPLICA, in_recovery=False)))
    assert found(topology)[1] == ("primary", "split brain")
    assert topology.members["b"].why == "a was the primary of the same timeline 1"


def test_the_primary_is_believed_again_after_its_restart_and_when_its_rival_has_given_up() -> None:
    rival = replace(REPLICA, in_recovery=False)
    restarted = replace(PRIMARY, started=101)
    topology = after((PRIMARY, REPLICA), (PRIMARY, rival), (GONE, REPLICA), (restarted, REPLICA))
    assert found(topology) == [("primary", "up"), ("replica", "up")]


# --- one server, several addresses ------------------------------------------------------------------------------------


def test_a_server_with_two_addresses_is_one_server() -> None:
    topology = look(PRIMARY, PRIMARY, REPLICA)
    assert found(topology) == [("primary", "up"), ("primary", "same server"), ("replica", "up")]
    assert topology.members["b"].why == "it is a"


def test_an_address_that_moves_to_the_new_primary_is_followed() -> None:
    promoted = replace(REPLICA, in_recovery=False, timeline=2)
    topology = after((PRIMARY, PRIMARY, REPLICA), (GONE, GONE, promoted), (promoted, GONE, promoted))
    assert found(topology) == [("primary", "up"), ("", "unreachable"), ("primary", "same server")]
    topology = look(GONE, GONE, promoted, memory=topology.memory)
    assert found(topology)[2] == ("primary", "up")


# --- whose servers ----------------------------------------------------------------------------------------------------

STRANGER = replace(PRIMARY, system=8, started=900, timeline=5)


def test_a_server_of_another_cluster_is_not_ours() -> None:
    topology = look(PRIMARY, STRANGER, REPLICA)
    assert found(topology) == [("primary", "up"), ("primary", "other system"), ("replica", "up")]
    assert topology.members["b"].why == "its system identifier is 8, not 7"


def test_nobody_is_believed_while_it_cannot_be_told_whose_servers_they_are() -> None:
    assert found(look(None, STRANGER)) == [("", "unseen"), ("primary", "unseen")]
    assert found(look(GONE, STRANGER, REPLICA))[1:] == [("primary", "other system"), ("replica", "other system")]


def test_what_all_reachable_servers_agree_on_is_ours_until_the_primary_of_the_settings_says_otherwise() -> None:
    topology = look(GONE, REPLICA, OTHER)
    assert (found(topology)[1:], topology.memory) == ([("replica", "up")] * 2, Memory())
    topology = look(STRANGER, REPLICA, OTHER, memory=topology.memory)
    assert found(topology) == [("primary", "up"), ("replica", "other system"), ("replica", "other system")]


def test_a_cluster_that_replaces_another_one_as_a_whole_is_taken_for_ours() -> None:
    upgraded = replace(PRIMARY, system=9, started=1000)
    topology = after((replace(PRIMARY, timeline=6), REPLICA), (upgraded, GONE))
    assert found(topology)[0] == ("primary", "other system")
    topology = look(upgraded, replace(REPLICA, system=9), memory=topology.memory)
    assert found(topology) == [("primary", "up"), ("replica", "up")]


# --- whatever they say ------------------------------------------------------------------------------------------------

observations = st.builds(
    Observation,
    at=st.just(1.0),
    in_recovery=st.booleans(),
    timeline=st.integers(1, 4),
    system=st.sampled_from((7, 7, 7, 8)),
    started=st.integers(1, 5),
)
Happening = list[tuple[str, Observation | str]]
events = st.lists(st.tuples(st.sampled_from(NAMES), observations | st.just(GONE)), max_size=30)


def play(happening: Happening) -> list[tuple[dict[str, Sight], Topology]]:
    known = dict.fromkeys(NAMES, Sight())
    topology = judge(known, NAMED, Memory())
    moments = []
    for name, seen in happening:
        known = {**known, name: Sight(known[name].last, seen) if isinstance(seen, str) else Sight(seen)}
        topology = judge(known, NAMED, topology.memory)
        moments.append((known, topology))
    return moments


def believed(topology: Topology) -> Observation | None:
    return topology.primary.last if topology.primary is not None else None


@given(events)
def test_there_are_never_two_primaries(happening: Happening) -> None:
    for _, topology in play(happening):
        up = [one for one in topology.members.values() if (one.role, one.state) == (Role.PRIMARY, State.UP)]
        assert len(up) <= 1


@given(events)
def test_the_timeline_of_who_is_believed_never_goes_back(happening: Happening) -> None:
    newest: dict[int, int] = {}
    system = None
    for _, topology in play(happening):
        primary = believed(topology)
        if topology.memory.system != system:  # another cluster is in their place
            newest, system = {}, topology.memory.system
        if primary is not None:
            assert primary.timeline >= newest.get(primary.system, 0)
            newest[primary.system] = primary.timeline


def said(timeline: int, started: int, *, recovers: bool = False) -> Observation:
    return Observation(1.0, recovers, timeline, 7, started)


@example([("a", said(1, 1, recovers=True)), ("b", said(2, 1)), ("c", said(2, 2))])  # b is a, which was promoted
@given(events)
def test_who_is_believed_has_just_said_so_and_nobody_contradicts(
    happening: Happening,
) -> None:
    for known, topology in play(happening):
        primary = believed(topology)
        if primary is None:
            continue
        assert not primary.in_recovery
        assert any(sight.answered is primary for sight in known.values())
        ours = _of_system(known, primary.system)
        assert all(one.timeline <= primary.timeline for one in ours)
        rivals = [one for one in ours if not one.in_recovery and one.timeline == primary.timeline]
        assert {one.started for one in rivals} == {primary.started}
        assert all(one.last is not None and one.last.timeline == primary.timeline for one in topology.replicas)


def _of_system(known: Mapping[str, Sight], system: int) -> list[Observation]:
    return [one.answered for one in known.values() if one.answered is not None and one.answered.system == system]
