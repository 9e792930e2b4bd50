"""Servers of one transaction have the same settings in force, or what they give does not belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.errors import StatementRefused
from trunkline.execution.local_settings import with_values
from trunkline.protocol.params import Params

if TYPE_CHECKING:
    from trunkline.execution.reading import Reading
    from trunkline.execution.spread.calls import Statement
    from trunkline.execution.spread.participants import Participants


def must_agree(found: Params | None, others: Params | None) -> None:
    """Who comes later to a transaction has the settings of those who are there: StatementRefused if it has not."""
    if found is not None and others is not None and found is not others and found.news_for(others):
        hint = "Say SET LOCAL, or SET before the transaction."
        raise StatementRefused("its transaction has changed a setting at one shard alone", hint=hint)


async def set_at_all(participants: Participants, reading: Reading, statement: Statement) -> None:
    """What set_config() sets in a transaction is set at all its servers; StatementRefused if that is not to be seen."""
    text = with_values(statement.sql, statement.types, statement.values) if reading.of_settings else None
    if text is None:
        hint = "SELECT set_config('name', 'value', true), by itself, or SET LOCAL."
        reason = "it sets something at one shard alone, while its transaction concerns several"
        raise StatementRefused(reason, hint=hint)
    await participants.say(text)
