"""Kinds of value that describe replicas: where they are and how much they are asked, and how far behind they may be."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trunkline.config.address import BadValue, ServerAddress, parse_url
from trunkline.config.diagnostics import did_you_mean
from trunkline.config.kinds import Kind, Limits, needs, quantity

MAX_WEIGHT = 1000
_KEYS = ("url", "weight", "zone")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1.0, "kB": 1024.0, "MB": 1024.0**2, "GB": 1024.0**3}


@dataclass(frozen=True, slots=True)
class LagLimit:
    """How far behind a replica may be; one of the two is None."""

    time_s: float | None = None
    size_bytes: int | None = None

    def __str__(self) -> str:
        return f"{self.time_s:g}s" if self.time_s is not None else f"{self.size_bytes}B"


# --- replicas -------------------------------------------------------------------------------------------------------


def _replicas_toml(value: object, limits: Limits) -> tuple[ServerAddress, ...]:
    needs(value, (list,), "an array of URLs or tables")
    assert isinstance(value, list)
    return tuple(_replica(item, number) for number, item in enumerate(value))


def _replica(item: object, number: int) -> ServerAddress:
    if isinstance(item, str):
        return _address(item, number)
    if not isinstance(item, dict):
        hint = 'write "postgres://host/dbname", or { url = "postgres://host/dbname", weight = 3 }'
        raise BadValue("a replica is a URL in quotes, or a table", hint, inside=(number,))
    for key in item:
        if key not in _KEYS:
            hint = did_you_mean(key, _KEYS) or "a replica has url, weight and zone"
            raise BadValue(f"a replica has no `{key}`", hint, inside=(number, key))
    if not isinstance(item.get("url"), str):
        where = (number, "url") if "url" in item else (number,)
        raise BadValue("a replica needs its `url`, in quotes", 'as in url = "postgres://host/dbname"', inside=where)
    return replace(_address(item["url"], number, "url"), weight=_weight(item, number), zone=_zone(item, number))


def _weight(item: dict[str, object], number: int) -> int:
    weight = item.get("weight", 1)
    if not isinstance(weight, int) or isinstance(weight, bool) or not 0 <= weight <= MAX_WEIGHT:
        hint = "one of weight 2 gets twice the reads of one of weight 1; 0 is only where there is no other"
        raise BadValue(f"a weight is a whole number from 0 to {MAX_WEIGHT}", hint, inside=(number, "weight"))
    return weight


def _zone(item: dict[str, object], number: int) -> str:
    zone = item.get("zone", "")
    if not isinstance(zone, str):
        raise BadValue("a zone is a string", 'as in zone = "eu-1"', inside=(number, "zone"))
    return zone


def _address(text: str, *inside: str | int) -> ServerAddress:
    try:
        url = parse_url(text)
    except BadValue as error:
        raise BadValue(error.message, error.hint, error.offset, inside=inside) from None
    if len(url.hosts) != 1:
        raise BadValue("a replica is one URL with one host", inside=inside)
    if url.parameters:
        word = url.parameters[0]
        raise BadValue(f"`{word.name}` cannot stand in this URL", "", word.name_offset, inside=inside)
    return url.addresses()[0]


def _replicas_text(text: str, limits: Limits) -> tuple[ServerAddress, ...]:
    try:
        return tuple(_address(item) for item in text.split())
    except BadValue as error:  # its offset is that in one of several URLs
        raise BadValue(error.message, error.hint) from None


def _show_replicas(value: tuple[ServerAddress, ...]) -> str:
    return ", ".join(map(_shown, value))


def _shown(replica: ServerAddress) -> str:
    weight = f" weight {replica.weight}" if replica.weight != 1 else ""
    return f"{replica}{weight}" + (f" zone {replica.zone}" if replica.zone else "")


# --- lag ------------------------------------------------------------------------------------------------------------

_LAG = 'a time as in "10s", or a size as in "16MB"'


def _lag_toml(value: object, limits: Limits) -> LagLimit | None:
    if value == 0 and not isinstance(value, bool):
        return None
    needs(value, (str,), _LAG)
    return _lag_text(str(value), limits)


def _lag_text(text: str, limits: Limits) -> LagLimit | None:
    if text.strip() in ("", "0"):
        return None
    unit = text.strip().lstrip("0123456789. ")
    if not unit:
        raise BadValue(f"must be {_LAG}", "add the unit")
    found = quantity(text, _SECONDS | _BYTES, _LAG)
    if not found:
        return None
    return LagLimit(time_s=found) if unit in _SECONDS else LagLimit(size_bytes=max(1, int(found)))


def _show_lag(value: LagLimit | None) -> str:
    return "" if value is None else str(value)


# --- reads after writes ---------------------------------------------------------------------------------------------

_AFTER_WRITE = '"lsn", "off", or "sticky:" and a time, as in "sticky:5s"'
_STICKY = "sticky:"


def _after_write_toml(value: object, limits: Limits) -> str:
    needs(value, (str,), _AFTER_WRITE)
    return _after_write_text(str(value), limits)


def _after_write_text(text: str, limits: Limits) -> str:
    word = text.strip()
    if word in ("lsn", "off"):
        return word
    if not word.startswith(_STICKY):
        raise BadValue(f"must be {_AFTER_WRITE}", did_you_mean(word, ("lsn", "off", "sticky:5s")))
    time_s = quantity(word.removeprefix(_STICKY), _SECONDS, _AFTER_WRITE)
    if not time_s:
        raise BadValue(f"must be {_AFTER_WRITE}", 'a time of 0 is "off"')
    return f"{_STICKY}{time_s:g}s"


def sticky_time_s(read_after_write: str) -> float:
    """For how long the primary answers behind a write; 0 if that is not measured by the clock."""
    return float(read_after_write[len(_STICKY) : -1]) if read_after_write.startswith(_STICKY) else 0.0


REPLICAS = Kind("an array of URLs or tables", _replicas_toml, _replicas_text, _show_replicas)
LAG = Kind(_LAG, _lag_toml, _lag_text, _show_lag)
AFTER_WRITE = Kind(_AFTER_WRITE, _after_write_toml, _after_write_text, str)
