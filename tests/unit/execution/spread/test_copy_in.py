"""COPY over several shards: whose line an error is about."""

from __future__ import annotations

from tests.unit.routing.spreading.planned_writes import planned
from trunkline.execution.spread.copy_in import CopyIntoMany, bodies
from trunkline.execution.spread.participant import as_error
from trunkline.protocol.messages import message
from trunkline.routing.spreading.writing_copy import CopyRows


class Elsewhere:
    """A participant of which only the number matters."""

    shard = 0


def test_an_error_has_the_clients_line() -> None:
    program = planned("COPY customers FROM STDIN")
    assert isinstance(program, CopyRows)
    copy = CopyIntoMany(program, [Elsewhere()], b"", 3, 0b111)  # type: ignore[list-item]
    said = b'SERROR\0C23505\0Mduplicate\0WCOPY customers, line 3, column id: "x"\nSQL\0\0'
    moment, error = copy.renumbered(0, as_error(said))
    assert (moment, error.said) == ((0, False, 1), said.replace(b"line 3", b"line 1"))  # type: ignore[attr-defined]
    moment, error = copy.renumbered(0, as_error(b"SERROR\0C23505\0Mat commit\0\0"))
    assert moment > (10**12, False, 0)


def test_messages_are_taken_apart() -> None:
    assert [*bodies(message(b"d", b"one") + message(b"d", b"") + message(b"d", b"two"))] == [b"one", b"", b"two"]
