"""[row 89] How late the loop was, over two windows."""

from __future__ import annotations

import pytest

from trunkline.metrics.loop_lag import PERIOD_S, WINDOW_S, LoopLag


def test_a_timer_that_comes_late_is_told_until_two_windows_have_passed() -> None:
    lag = LoopLag(0.0)
    lag.on_timer(PERIOD_S)
    assert lag.longest_s == 0.0
    lag.on_timer(2 * PERIOD_S + 0.5)
    assert lag.longest_s == pytest.approx(0.5)
    now, seen = 2 * PERIOD_S + 0.5, []
    while now < 2 * WINDOW_S + 2:
        now += PERIOD_S
        lag.on_timer(now)
        seen.append((now, lag.longest_s > 0.4))
    assert all(late for now, late in seen if now < WINDOW_S + 1)
    assert not seen[-1][1]


def test_a_timer_that_comes_early_is_no_lag() -> None:
    lag = LoopLag(0.0)
    lag.on_timer(PERIOD_S / 2)
    assert lag.longest_s == 0.0
