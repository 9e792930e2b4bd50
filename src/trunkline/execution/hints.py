"""Where a client says itself that its statements go: in a comment, and by settings of its session.

    /* trunkline: shard=s1 */              SET trunkline.shard = 's1'
    /* trunkline: key=42 table=orders */   SET trunkline.key = '42'; SET trunkline."table" = 'orders'

A table need not be said where all sharded tables lie by one rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from trunkline.errors import StatementRefused, TrunklineError, UnknownShard
from trunkline.execution.spread.modes import wrong_mode
from trunkline.routing.keys import values
from trunkline.routing.keys.sharding import (
    KeyMissing,
    KeyNotMapped,
    KeyUnknown,
    Kind,
    NotCoercible,
    Sharding,
    TableRule,
)
from trunkline.routing.plans.plan import RoutePlan

_WORD = re.compile(r"(shard|key|table)\s*=\s*(?:'([^']*)'|([^\s'*,;]+))")
_SET = re.compile(
    rb"\s*(?:set(?:\s+(?:session|local))?\s+trunkline\.(%b)\s*(?:=|\bto\b)\s*(?:'([^']*)'|([^\s';]+))"
    rb"|reset\s+trunkline\.(%b))\s*;?\s*" % ((rb"shard|key|table|transaction_mode|cross_shard_snapshot",) * 2),
    re.IGNORECASE,
)


def shard_of_comment(comment: bytes, sharding: Sharding) -> int:
    """The number of the shard that a comment names; UnknownShard or StatementRefused if it names none that there is."""
    said = {name: quoted or plain for name, quoted, plain in _WORD.findall(comment.decode(errors="replace"))}
    found = shard_of(said, sharding)
    if found is None:
        raise StatementRefused(
            "a comment for trunkline says neither a shard nor a key",
            hint="Write /* trunkline: shard=NAME */ or /* trunkline: key=VALUE table=NAME */.",
        )
    return found


def shard_of_settings(extra: Mapping[bytes, bytes], sharding: Sharding) -> int | None:
    """The same of the settings of a session; None if they say nothing."""
    said = {
        name: extra[b"trunkline." + name.encode()].decode(errors="replace")
        for name in ("shard", "key", "table")
        if extra.get(b"trunkline." + name.encode())
    }
    return shard_of(said, sharding)


def may_choose(plan: RoutePlan, by_comment: bool) -> bool:
    """Whether a word of the client's can send a statement that would go home to another shard.

    Every shard has the system's catalogs. A sequence that only a comment asks of another shard is meant to be that
    shard's own; but a home table is nowhere else.
    """
    if not plan.occurrences:
        return by_comment
    return all(found.kind == "system" for found in plan.occurrences)


def setting_of(sql: bytes) -> tuple[bytes, bytes] | None:
    """What a SET or RESET says of one of these settings: its whole name and its value, b"" for none."""
    found = _SET.fullmatch(sql)
    if found is None:
        return None
    name, quoted, plain, reset = found.groups()
    value = b"" if reset or (plain or b"").lower() == b"default" else quoted or plain or b""
    return b"trunkline." + (name or reset).lower(), value


def wrong_setting(name: bytes, value: bytes, sharding: Sharding) -> TrunklineError | None:
    """Why a session may not set this; None if it may, or that depends on more than this."""
    if name == b"trunkline.shard" and value:
        try:
            shard_of_settings({name: value}, sharding)
        except TrunklineError as error:
            return error
    return wrong_mode(name, value)


def shard_of(said: Mapping[str, str], sharding: Sharding) -> int | None:
    """By name, or by a key of a table; KeyMissing if its directory is to be asked for that first."""
    if "shard" in said:
        if said["shard"] not in sharding.shards:
            raise UnknownShard(
                f'shard "{said["shard"]}" does not exist', hint=f"There are {', '.join(sharding.shards)}."
            )
        return sharding.shards.index(said["shard"])
    if "key" not in said:
        return None
    rule = _rule(said.get("table"), sharding)
    assert rule.function is not None
    try:
        mask = rule.function.shards_of((values.from_text(said["key"].encode(), rule.function.types[0]),))
    except KeyMissing:
        raise
    except (NotCoercible, KeyUnknown, KeyNotMapped) as error:
        raise StatementRefused(f'the key "{said["key"]}" cannot be used: {error}') from None
    return mask.bit_length() - 1


def _rule(table: str | None, sharding: Sharding) -> TableRule:
    rules = {rule.group: rule for rule in sharding.tables.values() if rule.kind is Kind.SHARDED}
    if table is not None:
        found = sharding.tables.get(table) or sharding.rule_of("public", table)
        if found.kind is Kind.SHARDED and len(found.columns) == 1:
            return found
        raise StatementRefused(f'table "{table}" has no key of one column', hint="Name a sharded table.")
    if len(rules) != 1:
        raise StatementRefused("a key without a table is of no use here", hint="Say the table too: table=NAME.")
    return next(iter(rules.values()))
