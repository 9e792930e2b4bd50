"""Counts by duration: what is read off is never too short, and at most an eighth too long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.pool.histogram import Histogram

durations = st.lists(st.floats(0, 30_000, allow_subnormal=False), min_size=1, max_size=60)


def of(*seconds: float) -> Histogram:
    made = Histogram()
    for one in seconds:
        made.note(one)
    return made


@given(durations, st.floats(0.01, 1.0))
def test_a_quantile_is_at_most_an_eighth_too_long(seconds: list[float], share: float) -> None:
    found = of(*seconds).quantile_us(share)
    exact = sorted(int(one * 1e6) for one in seconds)
    rank = next(i for i in range(len(exact)) if i + 1 >= share * len(exact))
    assert exact[rank] < found <= exact[rank] * 9 / 8 + 1


@given(durations, st.integers(3, 34))
def test_what_is_below_a_power_of_two_is_counted_exactly(seconds: list[float], power: int) -> None:
    made = of(*seconds)
    assert made.below(1 << power) == sum(int(one * 1e6) < 1 << power for one in seconds)
    assert made.count == len(seconds)


def test_a_clock_that_stands_still_or_goes_back_is_no_time_and_what_is_endless_the_longest() -> None:
    made = of(0.0, -1.0, 1e12)
    assert (made.below(8), made.count) == (2, 3)
    assert made.quantile_us(1.0) == 1 << 36


def test_sums_and_differences() -> None:
    before = of(0.001, 0.002)
    after = before.copy()
    after.note(4.0)
    after.add(before, -1)
    assert (after.count, after.quantile_us(0.5) > 4_000_000, round(after.sum_s, 6)) == (1, True, 4.0)
    after.add(before)
    after.add_at_once(3)
    assert after.count == 6
    assert before.count == 2


def test_of_nothing_there_is_no_quantile() -> None:
    assert (Histogram().quantile_us(0.99), Histogram().count) == (0, 0)
