"""Kinds of value that describe shards: a server, buckets, and the keys of lists, ranges and directories.

A key's value may be any TOML scalar; it is kept as the text that PostgreSQL would read.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass

from trunkline.config.address import BadValue, ServerUrl, parse_url
from trunkline.config.kinds import Kind, Limits, needs

_BUCKETS = re.compile(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?")
_RANGE_KEYS = ("from", "to", "shard")
_LOOKUP_KEYS = ("table", "key", "shard")


@dataclass(frozen=True, slots=True)
class KeyList:
    """The keys of one shard."""

    shard: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys from ``low`` up to, but without, ``high``; None is no bound."""

    low: str | None
    high: str | None
    shard: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """A directory table: in one column the key, in another the name of its shard."""

    table: str
    key: str
    shard: str


def _server_toml(value: object, limits: Limits) -> ServerUrl:
    needs(value, (str,), "a URL in quotes")
    return _server(str(value), limits)


def _server(text: str, limits: Limits) -> ServerUrl:
    url = parse_url(text)
    if url.parameters:
        word = url.parameters[0]
        raise BadValue(f"`{word.name}` cannot stand in this URL", "", word.name_offset)
    return url


def _show_server(url: ServerUrl) -> str:
    servers = ",".join(f"{host}:{port}" for host, port in zip(url.hosts, url.ports, strict=True))
    return f"{servers}/{url.dbname or ''}"


def _buckets_toml(value: object, limits: Limits) -> tuple[tuple[int, int], ...]:
    needs(value, (list,), 'an array as in ["0-511", "600"]')
    assert isinstance(value, list)
    return tuple(_buckets(item, number) for number, item in enumerate(value))


def _buckets(item: object, number: int) -> tuple[int, int]:
    match = _BUCKETS.fullmatch(item) if isinstance(item, str) else None
    if match is None:
        raise BadValue("not a bucket or a range of buckets", 'write it as in "0-511" or "600"', inside=(number,))
    low, high = int(match[1]), int(match[2] or match[1])
    if low > high:
        raise BadValue(f"the range {low}-{high} ends before it begins", inside=(number,))
    return low, high


def _show_buckets(ranges: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(f"{low}-{high}" for low, high in ranges)


# --- keys -------------------------------------------------------------------------------------------------------


def _key(value: object, *inside: str | int) -> str:
    match value:
        case str():
            if "\0" in value:
                raise BadValue("must not hold a zero byte", inside=inside)
            return value
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case datetime.datetime():
            return value.isoformat(" ")
        case datetime.date() | datetime.time():
            return value.isoformat()
    raise BadValue("a key must be a string, a number, a date or a time", inside=inside)


def _lists_toml(value: object, limits: Limits) -> tuple[KeyList, ...]:
    needs(value, (dict,), 'a table as in { s0 = ["us", "ca"] }')
    assert isinstance(value, dict)
    seen: dict[str, str] = {}
    return tuple(KeyList(shard, _list(shard, keys, seen)) for shard, keys in value.items())


def _list(shard: str, keys: object, seen: dict[str, str]) -> tuple[str, ...]:
    if not isinstance(keys, list):
        raise BadValue(f'the keys of `{shard}` must be an array, as in ["us", "ca"]', inside=(shard,))
    for number, written in enumerate(keys):
        key = _key(written, shard, number)
        if key in seen:
            again = "twice" if seen[key] == shard else f"with `{seen[key]}` already"
            raise BadValue(f"`{key}` is listed {again}", inside=(shard, number))
        seen[key] = shard
    return tuple(seen_key for seen_key, place in seen.items() if place == shard)


def _show_lists(lists: tuple[KeyList, ...]) -> str:
    return "; ".join(f"{one.shard}: {', '.join(one.keys)}" for one in lists)


def _fields(value: object, known: tuple[str, ...], *inside: str | int) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadValue(f"must be a table with {', '.join(known)}", inside=inside)
    for key in value:
        if key not in known:
            raise BadValue(f"unknown key `{key}`", f"it has {', '.join(known)}", inside=(*inside, key))
    return value


def _word(fields: Mapping[str, object], key: str, *inside: str | int) -> str:
    word = fields.get(key)
    if not isinstance(word, str) or not word or "\0" in word:
        raise BadValue(f"needs `{key}`, a string", inside=(*inside, key) if key in fields else inside)
    return word


def _ranges_toml(value: object, limits: Limits) -> tuple[KeyRange, ...]:
    needs(value, (list,), 'an array as in [{ from = 1, to = 9, shard = "s0" }]')
    assert isinstance(value, list)
    ranges = []
    written: list[_Written] = []
    for number, item in enumerate(value):
        fields = _fields(item, _RANGE_KEYS, number)
        bounds = [None if fields.get(key) is None else _key(fields[key], number, key) for key in ("from", "to")]
        ranges.append(KeyRange(bounds[0], bounds[1], _word(fields, "shard", number)))
        written.append(_Written(number, fields.get("from"), fields.get("to")))
    _check_order(written)
    return tuple(ranges)


@dataclass(frozen=True, slots=True)
class _Written:
    """A range with its bounds as TOML has them, which know their order as long as they are no strings."""

    number: int
    low: object
    high: object

    def is_empty(self) -> bool:
        return self.low is not None and self.high is not None and not _below(self.low, self.high)

    def overlaps(self, other: _Written) -> bool:
        def ends_before(one: _Written, two: _Written) -> bool:
            return one.high is not None and two.low is not None and not _below(two.low, one.high)

        return not ends_before(self, other) and not ends_before(other, self)


def _below(low: object, high: object) -> bool:
    return low < high  # type: ignore[operator,no-any-return]  # of one class: `_check_order` has seen to it


def _order(value: object) -> str:
    """Values of one name here can be compared with each other."""
    if isinstance(value, datetime.datetime):
        return "times with a zone" if value.tzinfo else "times without a zone"
    names = {bool: "booleans", int: "numbers", float: "numbers", str: "strings"}
    return names.get(type(value), f"{type(value).__name__}s")


def _check_order(ranges: list[_Written]) -> None:
    """No range is empty, and no two have a key in common. How strings are ordered only the key's type says."""
    orders: dict[str, int] = {}
    for one in ranges:
        for value in (one.low, one.high):
            if value is not None:
                orders.setdefault(_order(value), one.number)
    if len(orders) > 1:
        first, second = list(orders)[:2]
        raise BadValue(f"{first} and {second} in one list of ranges", inside=(orders[second],))
    if "strings" in orders:
        return
    for position, one in enumerate(ranges):
        if one.is_empty():
            raise BadValue("an empty range: `to` is not above `from`", inside=(one.number,))
        for other in ranges[:position]:
            if one.overlaps(other):
                raise BadValue(f"overlaps range {other.number + 1}", inside=(one.number,))


def _show_ranges(ranges: tuple[KeyRange, ...]) -> str:
    return "; ".join(f"{one.low or ''}..{one.high or ''}: {one.shard}" for one in ranges)


def _lookup_toml(value: object, limits: Limits) -> Lookup:
    fields = _fields(value, _LOOKUP_KEYS)
    return Lookup(*(_word(fields, key) for key in _LOOKUP_KEYS))


def _show_lookup(lookup: Lookup) -> str:
    return f"{lookup.table} ({lookup.key} -> {lookup.shard})"


def _no_text(text: str, limits: Limits) -> None:
    raise BadValue("can only be written in a TOML file")


SERVER = Kind("a URL", _server_toml, _server, _show_server)
BUCKETS = Kind("ranges of buckets", _buckets_toml, _no_text, _show_buckets)
LISTS = Kind("lists of keys", _lists_toml, _no_text, _show_lists)
RANGES = Kind("ranges of keys", _ranges_toml, _no_text, _show_ranges)
LOOKUP = Kind("a directory table", _lookup_toml, _no_text, _show_lookup)
