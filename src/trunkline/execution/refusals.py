"""The words of refusals that are not the planner's, and the errors made of those that are."""

from __future__ import annotations

from trunkline.errors import StatementRefused, TransactionSpansShards
from trunkline.routing.keys.sharding import KeyMissing, KeyNotMapped
from trunkline.routing.plans.plan import Refusal

FOREIGN = "characters in this client's encoding are not read for a database with shards"
EXECUTED = "EXECUTE of a statement that was prepared over the protocol is not routed"
USE_UTF8 = "SET client_encoding = 'UTF8', or write ASCII only."
AMBIGUOUS = "where a string of this statement ends depends on standard_conforming_strings, which is off"


def refused(refusal: Refusal) -> StatementRefused:
    """The error for a refusal of the planner's."""
    error = StatementRefused(refusal.reason, hint=refusal.hint or None)
    error.sqlstate, error.position = refusal.sqlstate, refusal.position
    return error


def not_mapped(reason: KeyNotMapped) -> StatementRefused | KeyMissing:
    """Of a key without a shard: what it is refused with, unless somebody is to be asked for it first."""
    if isinstance(reason, KeyMissing):
        return reason
    return StatementRefused(f"no shard is said to have this key: {reason}")


def spanning(held: str, wanted: str, *, pinned: bool) -> TransactionSpansShards:
    """Of a statement for one shard while the transaction, or the client, is on another."""
    concerns = f"and the statement concerns shard {wanted}"
    if not pinned:
        return TransactionSpansShards(f"this transaction is on shard {held}, {concerns}")
    hint = "Its session holds what is at one server only (SHOW PINS says what): end that, or use another connection."
    return TransactionSpansShards(f"this client keeps its server on shard {held}, {concerns}", hint=hint)
