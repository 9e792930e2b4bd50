"""Connections beside those that take part in a client's transaction, for what must not be within it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from trunkline.errors import StatementRefused
from trunkline.execution.spread.agreeing import must_agree
from trunkline.execution.spread.questions import SHUT
from trunkline.routing.schema.catalog import Name
from trunkline.routing.spreading.quoting import full, literal

if TYPE_CHECKING:
    from trunkline.execution.spread.participant import Participant
    from trunkline.execution.spread.participants import Participants

OF_TRANSACTION = re.compile(rb"\s*set\s+(local\s+)?transaction", re.IGNORECASE)
APART = b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"


async def open_apart(participants: Participants, shard: int, relations: Iterable[Name] = ()) -> Participant:
    """A connection beside those that take part, in a transaction of its own that has the settings of theirs.

    StatementRefused if it would wait for what the client's own transaction has locked of these, for ever.
    """
    names = ", ".join(f"{literal(full(*name))}::regclass" for name in relations)
    if shard in participants.here and names and await participants.here[shard].ask(SHUT % names.encode()):
        raise StatementRefused(
            "its transaction has changed or locked a table, and rows are gathered on another connection",
            hint="Commit before, or name the key of every sharded table.",
        )
    found = participants.another(shard)
    participants.apart.append(found)
    try:
        await found.lease_apart()
        said = [one for one in participants.beginning[1:] if not OF_TRANSACTION.match(one)]
        await found.ask(b"; ".join([APART, *said]))
        must_agree(found.params, participants.settings)
    except BaseException:
        participants.close_apart(found)
        raise
    return found
