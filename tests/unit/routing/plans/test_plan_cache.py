"""What is known of a text is found again by every text with its key, within bounds, and never by another."""

from __future__ import annotations

import gc
import re
import sys
import tracemalloc
import weakref

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.unit.routing.golden_shop import CATALOG, SHARDING, Stub
from tests.unit.routing.planning.test_planner import CASES
from tests.unit.routing.plans.test_call import bind_of
from trunkline.routing.keys.shard_functions import Rule, make_function
from trunkline.routing.keys.sharding import KeyNotMapped, KeyUnknown, NotCoercible, Value
from trunkline.routing.planning.planner import plan
from trunkline.routing.plans.call import Call
from trunkline.routing.plans.evaluation import ReadyPlan
from trunkline.routing.plans.plan import Equals, Fixed, Literal, RoutePlan, Verdict
from trunkline.routing.plans.plan_cache import Known, PlanCache
from trunkline.routing.text.fingerprint import Fingerprint

HASH = make_function("hash", Rule(("int8",), ("a", "b")))


def plan_for(sql: bytes, *fixed: bytes) -> RoutePlan:
    return RoutePlan(Verdict.ROUTED, Fixed(1), reason=sql.decode(), fixed=frozenset(sql.index(one) for one in fixed))


def put(cache: PlanCache, sql: bytes, *fixed: bytes, context: int = 0) -> Known:
    return cache.put(Fingerprint(sql), sql, plan_for(sql, *fixed), context)


def get(cache: PlanCache, sql: bytes, context: int = 0) -> Known | None:
    return cache.get(Fingerprint(sql), sql, context)


def test_all_texts_with_a_key_have_what_one_of_them_was_given() -> None:
    cache = PlanCache()
    sql = b"SELECT * FROM t WHERE id = 1"
    assert get(cache, sql) is None
    known = cache.put(Fingerprint(sql), sql, plan_for(sql), note="more")
    assert get(cache, b"select *\nfrom T where id = 12345 -- x") is known
    assert (known.note, known.ready.plan.reason) == ("more", sql.decode())
    assert get(cache, b"SELECT * FROM t WHERE id = '1'") is None
    assert (cache.hits, cache.misses, cache.entries, len(cache)) == (1, 2, 1, 1)


def test_a_context_is_a_world_of_its_own() -> None:
    cache = PlanCache()
    one, other = (put(cache, b"SELECT 1", context=context) for context in (0, -7))
    assert get(cache, b"SELECT 2") is one
    assert get(cache, b"SELECT 2", -7) is other
    assert get(cache, b"SELECT 2", 1) is None
    assert cache.entries == 2


def test_literals_on_which_a_plan_depends_have_to_be_the_same() -> None:
    cache = PlanCache()
    by_two = put(cache, b"SELECT a, b FROM t WHERE x = 5 ORDER BY 2", b"2")
    assert get(cache, b"SELECT a, b FROM t WHERE x = 77 ORDER BY 2") is by_two
    assert get(cache, b"SELECT a, b FROM t WHERE x = 5 ORDER BY 1") is None
    assert get(cache, b"SELECT a, b FROM t WHERE x = 5 ORDER BY 22") is None
    by_one = put(cache, b"SELECT a, b FROM t WHERE x = 5 ORDER BY 1", b"1")
    assert get(cache, b"SELECT a, b FROM t WHERE x = 6 ORDER BY 2") is by_two
    assert get(cache, b"SELECT a, b FROM t WHERE x = 7 ORDER BY 1") is by_one
    (entry,) = cache.by_use()
    assert entry.variants == [by_one, by_two]
    assert entry.plan is by_one.ready.plan


def test_a_plan_may_depend_on_other_literals_than_its_neighbour() -> None:
    cache = PlanCache()
    strict = put(cache, b"SELECT 1, 2, 3", b"1", b"3")
    assert get(cache, b"SELECT 1, 5, 3") is strict
    loose = put(cache, b"SELECT 9, 8, 7", b"8")
    assert get(cache, b"SELECT 0, 8, 0") is loose
    assert get(cache, b"SELECT 1, 9, 3") is strict
    assert get(cache, b"SELECT 0, 9, 3") is None


def test_a_place_before_a_literal_means_it() -> None:
    cache = PlanCache()
    sql = b"SELECT - 1, 2"
    known = cache.put(Fingerprint(sql), sql, RoutePlan(Verdict.ROUTED, fixed=frozenset((7, -1, len(sql)))))
    assert get(cache, b"SELECT - 1, 3") is known
    assert get(cache, b"SELECT - 2, 2") is None


def test_the_variants_of_a_text_are_bounded_and_the_least_used_goes() -> None:
    cache = PlanCache()
    for number in range(100):
        put(cache, b"SELECT a FROM t LIMIT %d" % number, b"%d" % number).calls = 2
        assert get(cache, b"SELECT a FROM t LIMIT 0")
    (entry,) = cache.by_use()
    assert len(entry.variants) == 32
    assert entry.calls == 200
    assert get(cache, b"SELECT a FROM t LIMIT 99")
    assert get(cache, b"SELECT a FROM t LIMIT 50") is None


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache = PlanCache(capacity=3)
    for name in (b"a", b"b", b"c"):
        put(cache, b"SELECT " + name)
    assert get(cache, b"SELECT a")
    put(cache, b"SELECT d")
    assert [entry.template for entry in cache.by_use()] == ["select d", "select a", "select c"]
    assert get(cache, b"SELECT b") is None
    assert (cache.entries, cache.evictions) == (3, 1)


def test_counts_of_a_template_are_those_of_all_its_variants() -> None:
    cache = PlanCache()
    for number, calls in ((1, 3), (2, 4)):
        known = put(cache, b"SELECT a FROM t ORDER BY %d" % number, b"%d" % number)
        known.calls += calls
        known.time_s += 1.5
        known.shards |= number
    (entry,) = cache.by_use()
    assert (entry.template, entry.calls, entry.time_s, entry.shards) == ("select a from t order by ?", 7, 3.0, 3)


@pytest.mark.parametrize("sql", [b"SELECT 'a", b"SELECT 1a", b"SELECT " + b"x," * 20_000 + b"1"])
def test_a_text_without_a_key_is_not_kept(sql: bytes) -> None:
    cache = PlanCache()
    assert put(cache, sql).ready.plan.reason == sql.decode()
    assert get(cache, sql) is None
    assert (cache.entries, cache.used_bytes) == (0, 0)


def test_what_does_not_parse_is_not_kept() -> None:
    """`time(1)` would, with the same key."""
    cache, sql = PlanCache(), b"SELECT x::time(1.5) FROM t"
    cache.put(Fingerprint(sql), sql, RoutePlan(Verdict.HOME, reason="It does not parse."))
    assert get(cache, b"SELECT x::time(1) FROM t") is None


def test_a_plan_that_is_too_large_is_not_kept() -> None:
    cache = PlanCache(max_bytes=100_000)
    sql = b"SELECT 1"
    known = cache.put(Fingerprint(sql), sql, RoutePlan(Verdict.ROUTED, reason="x" * 50_000))
    assert known.ready.plan.verdict is Verdict.ROUTED
    assert get(cache, sql) is None


def test_nothing_is_known_once_it_is_cleared() -> None:
    cache = PlanCache()
    kept = put(cache, b"SELECT 1")
    plan = plan_for(b"SELECT x")
    cache.put(Fingerprint(b"SELECT x"), b"SELECT x", plan)
    cache.clear()
    assert (get(cache, b"SELECT 1"), cache.entries, cache.used_bytes, cache.by_use()) == (None, 0, 0, [])
    assert kept.ready.plan.reason == "SELECT 1"
    assert sys.getrefcount(plan) == 2


class _Note:
    pass


def test_what_is_evicted_or_dropped_is_gone() -> None:
    cache, notes = PlanCache(capacity=2), []
    for number in range(5):
        sql, note = b"SELECT a%d" % number, _Note()
        cache.put(Fingerprint(sql), sql, plan_for(sql), note=note)
        notes.append(weakref.ref(note))
        del note
    assert [note() is None for note in notes] == [True, True, True, False, False]
    del cache
    gc.collect()
    assert all(note() is None for note in notes)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.booleans()), max_size=60))
def test_it_is_a_bounded_map_with_an_order(steps: list[tuple[int, int, bool]]) -> None:
    cache, model = PlanCache(capacity=4), dict[tuple[int, int], Known]()
    for name, context, store in steps:
        sql, key = b"SELECT c%d" % name, (name, context)
        found = get(cache, sql, context)
        assert found is model.get(key)
        if found is not None:
            model[key] = model.pop(key)
        elif store:
            model[key] = put(cache, sql, context=context)
            if len(model) > 4:
                del model[next(iter(model))]
    assert [entry.variants for entry in cache.by_use()] == [[known] for known in reversed(model.values())]


def test_ten_thousand_templates_take_at_most_twenty_megabytes() -> None:
    """Of plans such as there are: with a reason, a hint, tables and a condition; and each of 400 bytes of text."""
    cache = PlanCache()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(11_000):
        sql = b"SELECT o.id, o.total, c%d.name FROM orders o JOIN c%d USING (id)" % (number, number)
        sql += b" WHERE o.customer_id = %d AND " % number + b" AND ".join(b"column_%d > 5" % one for one in range(20))
        reason = f"customer_id = a literal says the shard of orders and c{number}"
        where = Equals(HASH, (Literal(sql.index(b"_id =") + 6),))
        plan = RoutePlan(Verdict.ROUTED, where, reason, tables=("public.orders", f"public.c{number}"))
        cache.put(Fingerprint(sql), sql, plan)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert cache.entries == 10_000
    assert used < 20_000_000
    assert 0.8 < cache.used_bytes / used < 1.4


def test_the_bound_in_bytes_holds_for_larger_plans() -> None:
    cache = PlanCache(max_bytes=200_000)
    for number in range(1000):
        put(cache, b"SELECT c%d" % number + b", some_column" * 100)
        assert cache.used_bytes <= 200_000
    assert 20 < cache.entries < 200
    assert cache.evictions == 1000 - cache.entries


def test_a_hit_allocates_nothing() -> None:
    cache, found, sql = PlanCache(), Fingerprint(), b"SELECT * FROM t WHERE id = 5"
    known = put(cache, sql)
    get(cache, sql)
    tracemalloc.start()
    first = tracemalloc.get_traced_memory()[0]
    for _ in range(1000):
        found.read(sql)
        assert cache.get(found, sql) is known
    last = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert last - first < 1000


# --- with the planner -------------------------------------------------------------------------------------------------

OTHERS = {
    "number": (b"1", b"2", b"5", b"7", b"1.5", b"10", b"123456789012", b"0"),
    "string": (
        b"'5'",
        b"'a'",
        b"E'7'",
        b"'2020-01-01'",
        b"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        b"'{1,2}'",
        b"'x%'",
    ),
}
KINDS = {"integer": "number", "numeric": "number", "plain": "string", "escaped": "string", "dollar": "string"}


@st.composite
def variants(draw: DrawFn) -> tuple[bytes, bytes]:
    """A statement that the planner knows, and the same with other literals."""
    sql = draw(st.sampled_from([sql.encode() for sql, _ in CASES]))
    parts, at = [], 0
    for start, end, form in Fingerprint(sql).literals:
        choices = (sql[start:end], *OTHERS[KINDS[form]]) if form in KINDS else (sql[start:end],)
        parts += [sql[at:start], draw(st.sampled_from(choices))]
        at = end
    return sql, b"".join([*parts, sql[at:]])


def spread(self: Stub, key: tuple[Value | None, ...]) -> int:
    return 1 << sum(repr((self.types, key)).encode()) % 3


def outcome(ready: ReadyPlan, sql: bytes) -> tuple[object, ...]:
    """What is done with a statement: where it goes, if it goes."""
    numbers = [int(number) for number in re.findall(rb"\$(\d+)", sql)]
    call = Call(sql, bind_of([b"5"] * max(numbers, default=0), names=b""))
    try:
        mask: object = ready.mask_of(call)
    except (NotCoercible, KeyUnknown, KeyNotMapped) as error:
        mask = type(error)
    made = ready.plan
    is_single = isinstance(mask, int) and mask.bit_count() == 1
    unless_single = None if is_single else made.unless_single
    return made.verdict, mask, made.tables, made.writes, made.volatile, made.refusal, unless_single


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(variants())
def test_a_plan_that_is_found_is_the_one_that_would_be_made(
    monkeypatch: pytest.MonkeyPatch, pair: tuple[bytes, bytes]
) -> None:
    """Else a literal that a plan depends on was left out of `fixed`, or taken for another."""
    monkeypatch.setattr(Stub, "shards_of", spread)
    (sql, other), path, cache = pair, ("public",), PlanCache()
    cache.put(Fingerprint(sql), sql, plan(sql, CATALOG, SHARDING, path))
    found = Fingerprint(other)
    known, anew = cache.get(found, other), plan(other, CATALOG, SHARDING, path)
    if known is not None and "does not parse" not in anew.reason:
        assert outcome(known.ready, other) == outcome(ReadyPlan(anew, found, other), other)
