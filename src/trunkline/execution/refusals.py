"""The words of refusals that are not the planner's, and the errors made of those that are."""

from __future__ import annotations

from trunkline.errors import StatementRefused
from trunkline.routing.keys.sharding import KeyMissing, KeyNotMapped
from trunkline.routing.plans.plan import Refusal

FOREIGN = "characters in this client's encoding are not read for a database with shards"
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
