"""A client may say itself where its statements go."""

from __future__ import annotations

import pytest

from trunkline.errors import StatementRefused, UnknownShard
from trunkline.execution.hints import may_choose, setting_of, shard_of_comment, shard_of_settings, wrong_setting
from trunkline.routing.keys.directory import Directory
from trunkline.routing.keys.shard_functions import Rule, make_function
from trunkline.routing.keys.sharding import KeyMissing, Kind, Sharding, TableRule
from trunkline.routing.plans.plan import Fixed, Occurrence, RoutePlan, Verdict
from trunkline.shard_errors import InvalidValue

MODULO = make_function("modulo", Rule(types=("int8",), shards=("s0", "s1")))
BY_ID = TableRule(Kind.SHARDED, ("id",), MODULO, "customers")
SHOP = Sharding(("s0", "s1"), 0, {"customers": BY_ID, "countries": TableRule(Kind.REFERENCE)})


@pytest.mark.parametrize(
    ("comment", "shard"),
    [
        (b"/* trunkline: shard=s1 */", 1),
        (b"/* trunkline: shard = 's0' */", 0),
        (b"/* trunkline: key=7 table=customers */", 1),
        (b"/* trunkline: key=8 */", 0),
    ],
)
def test_a_comment_says_a_shard_or_a_key(comment: bytes, shard: int) -> None:
    assert shard_of_comment(comment, SHOP) == shard


@pytest.mark.parametrize(
    ("comment", "error"),
    [
        (b"/* trunkline: shard=s2 */", UnknownShard),
        (b"/* trunkline: nothing */", StatementRefused),
        (b"/* trunkline: key=x */", StatementRefused),
        (b"/* trunkline: key=1 table=countries */", StatementRefused),
        (b"/* trunkline: key=1 table=nowhere */", StatementRefused),
    ],
)
def test_a_comment_that_says_nothing_usable_is_refused(comment: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        shard_of_comment(comment, SHOP)


def test_settings_say_the_same() -> None:
    assert shard_of_settings({}, SHOP) is None
    assert shard_of_settings({b"trunkline.shard": b"s1"}, SHOP) == 1
    assert shard_of_settings({b"trunkline.key": b"3", b"trunkline.table": b"customers"}, SHOP) == 1
    assert shard_of_settings({b"trunkline.shard": b""}, SHOP) is None


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (b"SET trunkline.shard = 's1'", (b"trunkline.shard", b"s1")),
        (b"set local trunkline.key to 42;", (b"trunkline.key", b"42")),
        (b"SET SESSION trunkline.table = DEFAULT", (b"trunkline.table", b"")),
        (b"RESET trunkline.shard", (b"trunkline.shard", b"")),
        (b"SET trunkline.shard = 's1'; SELECT 1", None),
        (b"SET other.shard = 's1'", None),
    ],
)
def test_a_set_of_one_of_them_is_known(sql: bytes, said: tuple[bytes, bytes] | None) -> None:
    assert setting_of(sql) == said


def home_plan(*kinds: str) -> RoutePlan:
    return RoutePlan(Verdict.HOME, occurrences=tuple(Occurrence("x.y", "", kind, Fixed(1), "") for kind in kinds))


@pytest.mark.parametrize(
    ("kinds", "by_comment", "by_setting"),
    [(("home",), False, False), (("system",), True, True), (("system", "home"), False, False), ((), True, False)],
)
def test_what_is_only_at_home_stays_there(kinds: tuple[str, ...], by_comment: bool, by_setting: bool) -> None:
    assert may_choose(home_plan(*kinds), by_comment=True) is by_comment
    assert may_choose(home_plan(*kinds), by_comment=False) is by_setting


def test_a_key_that_its_directory_may_have_is_to_be_asked_for_first() -> None:
    directory = Directory()
    directory.ask = lambda key, done: None
    function = make_function("lookup", Rule(("int8",), ("s0", "s1"), directory=directory))
    sharding = Sharding(("s0", "s1"), 0, {"t": TableRule(Kind.SHARDED, ("id",), function, "t")})
    with pytest.raises(KeyMissing):
        shard_of_comment(b"/* trunkline: key=7 */", sharding)
    directory.learn_absent(7, "it is not there")
    with pytest.raises(StatementRefused, match="it is not there"):
        shard_of_settings({b"trunkline.key": b"7"}, sharding)
    directory.learn(7, 1)
    assert shard_of_settings({b"trunkline.key": b"7"}, sharding) == 1


def test_a_setting_that_cannot_be_is_known_before_it_is_set() -> None:
    sharding = Sharding(("s0", "s1"), 0, {})
    assert wrong_setting(b"trunkline.shard", b"s1", sharding) is None
    assert wrong_setting(b"trunkline.shard", b"", sharding) is None
    assert isinstance(wrong_setting(b"trunkline.shard", b"s2", sharding), UnknownShard)
    assert isinstance(wrong_setting(b"trunkline.transaction_mode", b"s2", sharding), InvalidValue)
