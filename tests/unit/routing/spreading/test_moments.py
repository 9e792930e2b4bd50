"""The time of a transaction in a statement's text."""

from __future__ import annotations

import pytest

from tests.unit.routing.spreading.planned_writes import request_of
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema.catalog import Function
from trunkline.routing.spreading.moments import asks_time, cut, filled, hides_time, places_of, says_now
from trunkline.routing.spreading.writing_reading import Written, read


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("now()", "(timestamptz 'T')"),
        ("pg_catalog . now ( )", "(timestamptz 'T')"),
        ("CURRENT_TIMESTAMP", "(timestamptz 'T')"),
        ("current_date", "(timestamptz 'T'::pg_catalog.date)"),
        ("localtimestamp(2)", "(timestamptz 'T'::pg_catalog.timestamp(2))"),
        ("transaction_timestamp() - now()", "(timestamptz 'T') - (timestamptz 'T')"),
        ("current_user", "current_user"),
        ("random()", "random()"),
    ],
)
def test_the_time_is_written_in_its_places(value: str, written: str) -> None:
    sql = f"UPDATE customers SET name = {value} || '1'".encode()
    found = read(request_of(sql.decode()))
    assert isinstance(found, Written)
    places = places_of(found.analysis, sql, found.node)
    assert not isinstance(places, Refusal)
    template = cut(sql, 0, len(sql), places)
    assert filled(template, b"T").decode() == f"UPDATE customers SET name = {written} || '1'"
    assert asks_time([template]) == (value != written)


def test_a_function_that_may_ask_for_the_time_is_known_by_its_text() -> None:
    assert hides_time(Function("public", "f", language="sql", body="SELECT Now()"))
    assert hides_time(Function("public", "f", language="c", body="f"))
    assert not hides_time(Function("public", "f", language="plpgsql", body="BEGIN NEW.known := 1; RETURN NEW; END"))


@pytest.mark.parametrize(
    "text", ["now", " NOW ", "(now)", "10:00 today", "sun, tomorrow 04:05", "yesterday allballs", "{now}"]
)
def test_words_that_mean_the_time_are_known_wherever_they_stand(text: str) -> None:
    assert says_now(text)


@pytest.mark.parametrize("text", ["", "2024-01-01 10:00", "nowhere", "until now", "infinity", "a" * 50])
def test_other_words_are_not(text: str) -> None:
    assert not says_now(text)
