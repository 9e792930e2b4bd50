"""Servers of one transaction have the same settings in force, or what they give does not belong together."""

from __future__ import annotations

from trunkline.errors import StatementRefused
from trunkline.protocol.params import Params


def must_agree(found: Params | None, others: Params | None) -> None:
    """Who comes later to a transaction has the settings of those who are there: StatementRefused if it has not."""
    if found is not None and others is not None and found is not others and found.news_for(others):
        hint = "Say SET LOCAL, or SET before the transaction."
        raise StatementRefused("its transaction has changed a setting at one shard alone", hint=hint)
