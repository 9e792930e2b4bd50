"""A circuit breaker's states, as a script of what happens and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trunkline.config.global_settings import Settings
from trunkline.errors import ServerLost, ServerRefused, ServerUnavailable, TrunklineError
from trunkline.pool.breaker import Breaker, Event, State, after, event_of

SETTINGS = replace(Settings(), breaker_failures=3, breaker_window=10.0, breaker_timeout=5.0)
EVENTS = {"x": Event.FAILURE, "+": Event.ANSWER, ".": Event.TIME}
SHOWN = {State.CLOSED: "C", State.OPEN: "O", State.HALF_OPEN: "H"}


def played(script: str, settings: Settings = SETTINGS) -> str:
    """The states after each event of a script as in `0x 1x`: a time and what happens then."""
    breaker, states = Breaker(), ""
    for word in script.split():
        breaker = after(breaker, EVENTS[word[-1]], settings, float(word[:-1]))
        states += SHOWN[breaker.state]
    return states


@pytest.mark.parametrize(
    ("script", "states"),
    [
        ("0x 1x 2x", "CCO"),
        ("0x 1x 2+ 3x", "CCCO"),  # who fails now and then fails
        ("0x 1x 10x", "CCC"),  # the first is too old
        ("0x 1x 9.9x", "CCO"),
        ("0x 9x 10x 11x", "CCCO"),
        ("0x 0x 0x 1+ 4.9. 5.", "CCOOOH"),  # an answer to what was asked before is none
        ("0x 0x 0x 4x 5. 5.1.", "CCOOHH"),  # and a failure does not make it wait longer
        ("0x 0x 0x 5. 6x 10. 11.", "CCOHOOH"),
        ("0x 0x 0x 5. 6+ 7x 8x 9x", "CCOHCCCO"),  # closed, it begins to count anew
    ],
)
def test_a_breaker_opens_waits_is_tried_and_closes_or_opens_again(script: str, states: str) -> None:
    assert played(script) == states


def test_one_that_never_opens_counts_all_the_same() -> None:
    never = replace(SETTINGS, breaker_failures=0)
    assert played("0x 0x 0x 0x", never) == "CCCC"
    breaker = Breaker()
    for at in range(20):
        breaker = after(breaker, Event.FAILURE, never, float(at))
    assert len(breaker.recent(never, 20.0)) == 9


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (ServerUnavailable("cannot connect to the server"), Event.FAILURE),
        (ServerLost("gone"), Event.FAILURE),
        (ServerRefused("57P03", "the database system is starting up"), Event.FAILURE),
        (ServerRefused("53300", "too many clients already"), Event.FAILURE),
        (ServerRefused("28P01", "password authentication failed"), Event.ANSWER),
        (ServerRefused("3D000", "database does not exist"), Event.ANSWER),
    ],
)
def test_a_refusal_in_its_right_mind_is_an_answer(error: TrunklineError, event: Event) -> None:
    assert event_of(error) is event
