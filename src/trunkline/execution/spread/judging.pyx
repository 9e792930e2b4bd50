"""What a router decides of one statement, for a session that does not relay it (execution/router.pyx)."""

from dataclasses import dataclass
from typing import Any

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from trunkline.execution.router cimport (
    ANYWHERE, APART, EXPLAINED, OVER_SEVERAL, REFUSED, SESSION, Context, Outcome, Router,
)

NOWHERE, DENIED, OF_SESSION, ANSWERED, WANTED = ANYWHERE, REFUSED, SESSION, EXPLAINED, APART


@dataclass(slots=True)
class Judgement:
    """`shard` is a number, or one of the names above; what else is there depends on it."""

    shard: int
    several: bool = False  # DENIED: because it concerns several shards
    refusal: Any = None
    reading: Any = None
    known: Any = None
    executes: bool = False  # it may run a statement that was prepared
    instead: bytes = b""  # ANSWERED: to be run in its place
    wanted: Any = None  # WANTED: what has to be waited for
    said: Any = None  # OF_SESSION: a SET of trunkline's own, as (name, value)


def judge_text(Router router, bytes text, Context context, hint, planned=None):
    """Of a simple query."""
    router.forget()
    router.planned, router.judges = planned, True
    try:
        return _judged(router, router.of_text(<const unsigned char *>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text) + 1,
                                              context, hint))
    finally:
        router.judges = False


def judge_parse(Router router, bytes body, Context context, hint, planned=None):
    """Of a Parse, from its text on."""
    router.forget()
    router.planned, router.judges = planned, True
    try:
        return _judged(router, router.of_parse(<const unsigned char *>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body),
                                               context, hint))
    finally:
        router.judges = False


def judge_bind(Router router, bytes body, bytes bind, Context context, hint, planned=None):
    """Of a Bind, from behind its names; `body` is that of the Parse, from its text on."""
    router.forget()
    router.planned, router.judges = planned, True
    try:
        return _judged(router, router.of_bind(body, <const unsigned char *>PyBytes_AS_STRING(bind), PyBytes_GET_SIZE(bind),
                                              context, hint))
    finally:
        router.judges = False


def count(Router router, judgement, int shard):
    """What was judged last is run at this shard, or (-1) at none alone."""
    router.count(judgement.known, router.outcome, shard)


def count_last(Router router, int shard):
    """What the relay has judged last is run at this shard, or (-1) at none alone."""
    router.count(router.known, router.outcome, shard)


cdef object _judged(Router router, int decision):
    cdef bint several = decision == REFUSED and router.outcome == OVER_SEVERAL
    return Judgement(
        decision, several, router.refusal if decision == REFUSED else None, router.reading, router.known,
        router.executes, router.instead if decision == EXPLAINED else b"",
        router.wanted if decision == APART else None, router.said if decision == SESSION else None,
    )
