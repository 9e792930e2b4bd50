"""Values that describe shards: how keys become text, and how ranges are judged."""

import datetime

import pytest

from trunkline.config.address import BadValue
from trunkline.config.key_kinds import BUCKETS, LISTS, LOOKUP, RANGES, SERVER, KeyList, KeyRange
from trunkline.config.kinds import Limits

ANY = Limits()
ZONE = datetime.timezone(datetime.timedelta(hours=2))


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("us", "us"),
        (-3, "-3"),
        (1.5, "1.5"),
        (True, "true"),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        (datetime.datetime(2024, 2, 29, 1, 2, 3, 4), "2024-02-29 01:02:03.000004"),
        (datetime.datetime(2024, 2, 29, tzinfo=ZONE), "2024-02-29 00:00:00+02:00"),
        (datetime.time(1, 2), "01:02:00"),
    ],
)
def test_a_key_is_the_text_that_postgresql_reads(written: object, text: str) -> None:
    assert LISTS.from_toml({"s": [written]}, ANY) == (KeyList("s", (text,)),)


def test_ranges_that_touch_do_not_overlap_in_any_order() -> None:
    ranges = [{"from": 5, "to": 7, "shard": "a"}, {"from": 7, "shard": "b"}, {"to": 5, "shard": "c"}]
    assert RANGES.from_toml(ranges, ANY) == (
        KeyRange("5", "7", "a"),
        KeyRange("7", None, "b"),
        KeyRange(None, "5", "c"),
    )


@pytest.mark.parametrize(
    ("low", "high"), [(4, 6), (6, 9), (None, 6), (6, None), (5, 7), (1, 10), (None, None), (5.5, 6)]
)
def test_ranges_that_share_a_key_overlap(low: object, high: object) -> None:
    ranges = [{"from": 5, "to": 7, "shard": "a"}, {"from": low, "to": high, "shard": "b"}]
    with pytest.raises(BadValue, match="overlaps range 1") as error:
        RANGES.from_toml([{k: v for k, v in one.items() if v is not None} for one in ranges], ANY)
    assert error.value.inside == (1,)


def test_strings_have_an_order_only_their_type_knows() -> None:
    assert len(RANGES.from_toml([{"from": "9", "to": "10", "shard": "a"}], ANY)) == 1


@pytest.mark.parametrize(
    ("kind", "written", "inside"),
    [
        (LISTS, {"s": "us"}, ("s",)),
        (LISTS, {"s": [["us"]]}, ("s", 0)),
        (LISTS, {"s": ["a\0"]}, ("s", 0)),
        (LISTS, [], ()),
        (RANGES, {}, ()),
        (RANGES, [1], (0,)),
        (RANGES, [{"from": 1, "shard": 2}], (0, "shard")),
        (LOOKUP, "t", ()),
        (LOOKUP, {"table": "t", "key": ""}, ("key",)),
        (BUCKETS, ["1", 2], (1,)),
        (BUCKETS, ["-1"], (0,)),
        (BUCKETS, ["1-"], (0,)),
        (SERVER, 1, ()),
    ],
)
def test_what_is_wrong_is_pointed_at(kind, written: object, inside: tuple[object, ...]) -> None:
    with pytest.raises(BadValue) as error:
        kind.from_toml(written, ANY)
    assert error.value.inside == inside


def test_the_password_of_a_server_is_not_shown() -> None:
    url = SERVER.from_toml("postgres://ann:hush@h:1,i/d", ANY)
    assert SERVER.show(url) == "h:1,i:5432/d"
    assert "hush" not in repr(url)
