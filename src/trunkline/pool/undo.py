"""What an error of the server takes back of prepared statements, and how its words are made the client's.

Requests that change who knows which statement take effect when they are sent, for what follows them in a pipeline
counts on it. When an error ends or skips them, the session lists them in `undone`, oldest first, with a note each:

- Parse of the client: (client's name, statement before, statement, "new" | "known" | "taken")
- Parse of our own: the statement
- unnamed Parse: `UnnamedBefore`, or NOBODYS if only itself can fail, for then there is none; of our own: the server's
- simple Query and Close of the unnamed statement, which end it: `UnnamedBefore`
- Close answered by us: (client's name, statement); Close of our own: the statement
- Bind and Describe: the statement, so that an error can be told under the client's name; where that is longer than
  PostgreSQL keeps, (client's name, None, statement, "said"); where it was made to fail, the same with "changed"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from trunkline.failpoints import failpoint
from trunkline.protocol.messages import message, parameter_status
from trunkline.protocol.server_session import REQUEST_NAMES
from trunkline.protocol.statement import Statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.pool.server import Lessee, ServerLink

FORWARD, SWALLOW, FAKE = range(3)
NOBODYS = b""  # an unnamed statement that may be there and belongs to no one
# As PostgreSQL says it (RevalidateCachedQuery).
RESULT_CHANGED = message(
    b"E", b"SERROR\0VERROR\0C0A000\0Mcached plan must not change result type\0Fplancache.c\0RRevalidateCachedQuery\0\0"
)


class Refused(NamedTuple):
    """The note of what was made to fail in the place of a statement that is refused; the client hears these words."""

    words: bytes


class UnnamedBefore(NamedTuple):
    """The unnamed Parse of a client, and the one that its server held, before a request that an error may skip."""

    client: bytes | None
    server: bytes | None


def take_back(server: ServerLink, lessee: Lessee | None, *, unnamed_is_newer: bool = False) -> None:
    """Undo, last first, what was noted for requests that an error ended or skipped.

    ``unnamed_is_newer``: a later batch has made, or ended, the unnamed statement that there is now.
    """
    undone = server.session.undone[::-1]
    failpoint("undoing")
    server.session.undone.clear()
    for request, action, note, failed in undone:
        handle = _HANDLERS.get((REQUEST_NAMES[request], action))
        if isinstance(note, Refused):
            continue
        if handle is not None and not (unnamed_is_newer and isinstance(note, UnnamedBefore | bytes)):
            handle(server, lessee, note, failed)


def settings_before(lessee: Lessee) -> bytes:
    """A server is lost, and with it what had not been committed: the settings of before are in force again.

    The ParameterStatus messages that say so.
    """
    before, after, lessee.before_block = lessee.before_block, lessee.params, None
    if before is None or after is None:
        return b""
    lessee.params = before
    changed = ((name, value) for name, value in before.reported.items() if after.reported.get(name) != value)
    return b"".join(parameter_status(name, value) for name, value in changed)


def _parse_of_ours(server: ServerLink, lessee: Lessee | None, note: Any, failed: bool) -> None:
    server.prepared.pop(note, None)


def _parse_of_client(server: ServerLink, lessee: Lessee | None, note: Any, failed: bool) -> None:
    name, before, statement, how = note
    if how == "new":
        server.prepared.pop(statement, None)
    if lessee is None or lessee.names is None or lessee.names.get(name) is not statement:
        return
    if before is None:
        del lessee.names[name]
    else:
        lessee.names[name] = before


def _unnamed_of_client(server: ServerLink, lessee: Lessee | None, note: Any, failed: bool) -> None:
    if not failed:
        _unnamed_again(server, lessee, note)
        return
    server.unnamed = NOBODYS
    if lessee is not None:
        lessee.unnamed = None  # a failed Parse has ended the statement before it too


def _unnamed_of_ours(server: ServerLink, lessee: Lessee | None, note: Any, failed: bool) -> None:
    server.unnamed = NOBODYS if failed else note


def _unnamed_again(server: ServerLink, lessee: Lessee | None, note: Any, failed: bool = False) -> None:
    if isinstance(note, UnnamedBefore) and not failed:
        server.unnamed = note.server
        if lessee is not None:
            lessee.unnamed = note.client


def _close_of_ours(server: ServerLink, lessee: Lessee | None, note: Any, failed: bool) -> None:
    if note == NOBODYS:
        server.unnamed = NOBODYS
    else:
        server.prepared[note] = None


def _close_of_client(server: ServerLink, lessee: Lessee | None, note: Any, failed: bool) -> None:
    if lessee is not None and lessee.names is not None:
        lessee.names.setdefault(*note)


_HANDLERS = {
    ("parse", SWALLOW): _parse_of_ours,
    ("parse", FORWARD): _parse_of_client,
    ("parse", FAKE): _parse_of_client,
    ("parse_unnamed", FORWARD): _unnamed_of_client,
    ("parse_unnamed", SWALLOW): _unnamed_of_ours,
    ("query", FORWARD): _unnamed_again,
    ("close", FORWARD): _unnamed_again,
    ("close", SWALLOW): _close_of_ours,
    ("close", FAKE): _close_of_client,
}


def client_name(
    note: Any, names: Mapping[bytes, Statement] | None, undone: Sequence[tuple[Any, ...]] = ()
) -> tuple[bytes, bytes] | None:
    """(our name, the client's name) if the request with this note spoke of a statement under our name.

    The name may have been given away again by what the error has the server skip (`undone`).
    """
    if type(note) is tuple:
        return note[2].server_name, note[0]
    if type(note) is not Statement or names is None:
        return None
    name = next((name for name, known in names.items() if known is note), None)
    if name is None:
        taken = (skipped for _, _, skipped, _ in undone if type(skipped) is tuple and skipped[1] is note)
        name = next((skipped[0] for skipped in taken), None)
    return None if name is None else (note.server_name, name)


def client_words(
    note: Any, names: Mapping[bytes, Statement] | None, body: bytes, undone: Sequence[tuple[Any, ...]] = ()
) -> bytes | None:
    """The ErrorResponse that the client gets for the one with this body; None: the same."""
    if isinstance(note, Refused):
        return note.words
    if type(note) is tuple and note[3] == "changed":
        return RESULT_CHANGED if b"\0C26000\0" in body else None
    renamed = client_name(note, names, undone)
    return None if renamed is None else in_client_words(body, *renamed)


def in_client_words(body: bytes, ours: bytes, theirs: bytes) -> bytes:
    """The ErrorResponse with this body, with the client's name for the statement in place of ours."""
    return message(b"E", body.replace(b'"%b"' % ours, b'"%b"' % theirs))
