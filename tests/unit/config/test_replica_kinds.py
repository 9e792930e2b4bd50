"""Replicas with their weights and zones, and how far behind they may be."""

from __future__ import annotations

import pytest

from trunkline.config.address import BadValue, ServerAddress
from trunkline.config.kinds import Limits
from trunkline.config.replica_kinds import AFTER_WRITE, LAG, REPLICAS, LagLimit, sticky_time_s

ANY = Limits()


def test_a_replica_is_an_address_with_a_weight_and_a_zone() -> None:
    written = ["postgres://u:p@h:6000/app", {"url": "postgres://i", "weight": 3, "zone": "eu-1"}]
    plain, weighted = REPLICAS.from_toml(written, ANY)
    assert plain == ServerAddress("h", 6000, "app", "u", "p", weight=1, zone="")
    assert weighted == ServerAddress("i", weight=3, zone="eu-1")
    assert REPLICAS.show((plain, weighted)) == "h:6000, i:5432 weight 3 zone eu-1"


def test_text_lists_replicas_with_spaces() -> None:
    assert [one.host for one in REPLICAS.from_text("postgres://a postgres://b", ANY)] == ["a", "b"]
    with pytest.raises(BadValue, match="not a PostgreSQL URL"):
        REPLICAS.from_text("postgres://a http://b", ANY)


@pytest.mark.parametrize("written", ["postgres://h/a", ["postgres://h,i/a"], ["http://h"], [{"url": 1}], [{}], [None]])
def test_what_is_no_replica_is_refused(written: object) -> None:
    with pytest.raises(BadValue):
        REPLICAS.from_toml(written, ANY)


@pytest.mark.parametrize(
    ("written", "limit", "shown"),
    [
        ("10s", LagLimit(time_s=10.0), "10s"),
        ("200ms", LagLimit(time_s=0.2), "0.2s"),
        ("16MB", LagLimit(size_bytes=16 * 1024**2), "16777216B"),
        ("1 B", LagLimit(size_bytes=1), "1B"),
        ("", None, ""),
        ("0", None, ""),
        ("0s", None, ""),
        (0, None, ""),
    ],
)
def test_a_lag_is_a_time_or_a_size(written: object, limit: LagLimit | None, shown: str) -> None:
    assert LAG.from_toml(written, ANY) == limit
    assert LAG.show(limit) == shown
    assert LAG.from_text(str(written), ANY) == limit


@pytest.mark.parametrize(
    ("written", "says"),
    [("10", "a time as in"), (10, "a time as in"), ("10 sek", "unknown unit"), ("soon", "a time as in"), ([], "array")],
)
def test_what_is_no_lag_is_refused(written: object, says: str) -> None:
    with pytest.raises(BadValue, match=says):
        LAG.from_toml(written, ANY)


@pytest.mark.parametrize(
    ("written", "value", "time_s"),
    [("lsn", "lsn", 0.0), ("off", "off", 0.0), ("sticky:5s", "sticky:5s", 5.0), ("sticky:200 ms", "sticky:0.2s", 0.2)],
)
def test_reads_after_writes_are_exact_or_sticky_or_free(written: str, value: str, time_s: float) -> None:
    assert AFTER_WRITE.from_toml(written, ANY) == AFTER_WRITE.from_text(written, ANY) == value
    assert AFTER_WRITE.from_text(AFTER_WRITE.show(value), ANY) == value
    assert sticky_time_s(value) == pytest.approx(time_s)


@pytest.mark.parametrize(
    ("written", "says"),
    [("sticky", "must be"), ("sticky:", "must be"), ("sticky:0s", "must be"), (5, "must be")],
)
def test_what_is_no_such_promise_is_refused(written: object, says: str) -> None:
    with pytest.raises(BadValue, match=says):
        AFTER_WRITE.from_toml(written, ANY)
