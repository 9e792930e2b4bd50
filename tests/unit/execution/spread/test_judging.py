"""What a router decides of a text, a Parse and a Bind, for who does not relay them."""

from __future__ import annotations

from tests.unit.execution.spread.sharded_shop import shop
from trunkline.execution.spread.binding import Bound, bind
from trunkline.execution.spread.judging import (
    ANSWERED,
    DENIED,
    NOWHERE,
    OF_SESSION,
    judge_bind,
    judge_parse,
    judge_text,
)

BY_KEY = b"SELECT name FROM customers WHERE id = $1\0\0\0"


def test_a_text_goes_to_the_shard_of_its_key() -> None:
    router, context = shop()
    assert [judge_text(router, b"SELECT * FROM customers WHERE id = %d" % n, context, None).shard for n in (2, 3)] == [
        0,
        1,
    ]


def test_a_text_without_a_key_concerns_several() -> None:
    router, context = shop()
    judged = judge_text(router, b"SELECT * FROM customers", context, None)
    assert (judged.shard, judged.several) == (DENIED, True)
    assert judged.refusal is not None


def test_what_is_of_the_session_is_said_to_be_so() -> None:
    router, context = shop()
    judged = judge_text(router, b"BEGIN", context, None)
    assert judged.shard == OF_SESSION
    assert judged.reading is not None
    assert judged.reading.tag == "BEGIN"


def test_a_bind_says_what_its_parse_does_not() -> None:
    router, context = shop()
    assert judge_parse(router, BY_KEY, context, None).shard == NOWHERE
    assert judge_bind(router, BY_KEY, Bound(bind((), (b"3",), ())[5:]).rest, context, None).shard == 1


def test_an_explanation_is_to_be_run_instead() -> None:
    router, context = shop()
    judged = judge_text(router, b"EXPLAIN (ROUTE) SELECT * FROM customers", context, None)
    assert judged.shard == ANSWERED
    assert b"QUERY PLAN" in judged.instead
