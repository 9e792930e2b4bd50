"""How far behind a replica is, told from where the primary was and when."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from trunkline.pool.topology import Observation
from trunkline.pool.topology_lag import KEPT, Lag, Positions

REPLICA = Observation(at=10.0, in_recovery=True, timeline=1, system=7, started=2, replayed=100)


def noted(*notes: tuple[float, int]) -> Positions:
    positions = Positions()
    for note in notes:
        positions.note(*note)
    return positions


def seen(at: float, replayed: int | None, age_s: float | None = None) -> Observation:
    return replace(REPLICA, at=at, replayed=replayed, replay_age_s=age_s)


def test_a_replica_that_has_all_that_the_primary_had_written_is_not_behind() -> None:
    assert noted((9.0, 100)).lag(seen(10.0, 100)) == Lag(0, 0.0)
    assert noted((9.0, 100)).lag(seen(10.0, 120)) == Lag(0, 0.0)


def test_a_replica_shows_the_primary_as_it_was_when_it_had_written_no_more() -> None:
    positions = noted((1.0, 100), (2.0, 200), (3.0, 300))
    assert positions.lag(seen(3.5, 250)) == Lag(50, 1.5)
    assert positions.lag(seen(3.5, 200)) == Lag(100, 1.5)
    assert positions.lag(seen(9.5, 200)) == Lag(100, 7.5)


def test_what_the_primary_wrote_after_the_replica_answered_is_no_lag() -> None:
    assert noted((1.0, 100), (2.0, 200)).lag(seen(1.5, 100)) == Lag(0, 0.0)


def test_the_time_in_which_the_primary_wrote_nothing_is_no_lag() -> None:
    assert noted((1.0, 100), (500.0, 100), (501.0, 200)).lag(seen(501.5, 100)) == Lag(100, 1.5)


def test_a_replica_that_stands_still_stays_as_far_behind_between_the_checks_of_an_idle_primary() -> None:
    positions = noted((1.0, 100), (2.0, 200), (3.0, 200))
    assert positions.lag(seen(2.5, 100)) == Lag(100, 1.5)


def test_before_all_notes_the_replica_is_asked_itself_and_the_longer_time_counts() -> None:
    positions = noted((5.0, 200))
    assert positions.lag(seen(6.0, 100, age_s=30.0)) == Lag(100, 30.0)
    assert positions.lag(seen(6.0, 100, age_s=0.2)) == Lag(100, 1.0)
    assert positions.lag(seen(6.0, 100)) == Lag(100, 1.0)


def test_nothing_is_told_of_who_replays_nothing_or_without_a_primary() -> None:
    assert noted((5.0, 200)).lag(seen(6.0, None)) is None
    assert Positions().lag(REPLICA) is None
    positions = noted((5.0, 200))
    positions.clear()
    assert positions.lag(REPLICA) is None


def test_the_past_that_is_kept_has_an_end() -> None:
    positions = noted(*((float(second), second) for second in range(KEPT + 10)))
    lag = positions.lag(seen(float(KEPT + 10), 5))
    assert lag == Lag(KEPT + 4, float(KEPT))


steps = st.lists(st.integers(0, 100), min_size=1, max_size=50)


@given(steps, st.data())
def test_a_replica_that_stands_still_falls_behind_and_one_that_replays_does_not(
    written: list[int], data: st.DataObject
) -> None:
    positions, position = Positions(), 1000
    for second, step in enumerate(written):
        position += step
        positions.note(float(second), position)
    now = float(len(written))
    replayed = sorted(data.draw(st.tuples(*[st.integers(1000, position)] * 2)))
    behind, ahead = (positions.lag(seen(now, one, 0.0)) for one in replayed)
    assert behind is not None and ahead is not None
    assert behind.size_bytes >= ahead.size_bytes
    assert behind.time_s >= ahead.time_s
    later = positions.lag(seen(now + 5, replayed[0], 0.0))
    assert later is not None and later.time_s == (behind.time_s + 5 if behind.size_bytes else 0.0)
