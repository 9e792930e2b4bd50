"""The same conversations with PostgreSQL itself and through a Trunkline: what each client hears must be the same.

Two clients talk at a time, each about tables of its own, so that what one has to hear does not depend on what the other
does. Through the proxy they share fewer servers than there are clients, which take turns: whatever a session leaves at
one, another session would find. Between two conversations nothing is kept but the connections.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from tests.fuzz.conversation import Conversation, Heard, fence
from tests.fuzz.vocabulary import spell
from tests.integration.wire import Frame, error_fields, query, rows

CLIENTS = 2
USER = "postgres"
TABLES = (
    "create table t{0} (id int primary key, body text)",
    "create table t{0}_deferred (id int unique deferrable initially deferred)",
    "create sequence t{0}_numbers",
)
TIDYING = (
    "delete from t{0}; delete from t{0}_deferred; insert into t{0} values (1, 'a'), (2, 'b')",
    "select setval('t{0}_numbers', 1); discard sequences",
)
BUSY = (
    "select count(*) from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'"
)
PAUSE_S = 0.002


class Saying(NamedTuple):
    """``client`` says the message called ``name``; with ``pause``, others may get a word in before it goes on."""

    client: int
    name: str
    pause: bool = False


Script = Sequence[Saying]


def script(*lines: str) -> Script:
    """A script from lines such as ``0 B  a 1``; behind a line that ends in ``...`` there is a pause."""
    return [Saying(int(line[0]), line[2:].removesuffix("..."), line.endswith("...")) for line in lines]


class Side:
    """PostgreSQL or the proxy, and the clients that talk to it."""

    def __init__(self, port: int, password: str, database: str, postgres_port: int) -> None:
        self._where = (port, USER, password, database)
        self._observer = Conversation(postgres_port, USER, password, database)
        self._clients: list[Conversation | None] = [None] * CLIENTS
        self.fences = [fence(*(line.format(number) for line in TIDYING)) for number in range(CLIENTS)]

    def client(self, number: int) -> Conversation:
        found = self._clients[number]
        if found is None:
            found = self._clients[number] = Conversation(*self._where)
        return found

    def close(self) -> None:
        for client in (self._observer, *self._clients):
            if client is not None:
                client.close()

    def create_tables(self) -> None:
        for number in range(CLIENTS):
            self._observe(*(line.format(number) for line in TABLES))
        self.begin()

    def begin(self) -> None:
        """Every client in its place, its tables as they are at the beginning of a conversation."""
        missing = [number for number in range(CLIENTS) if self._clients[number] is None]
        while missing and self._observe(BUSY) != [b"0"]:  # what clients that are gone have left may still run
            pass
        for number in missing:
            self.client(number).send(self.fences[number])
            heard = self.client(number).hear()
            assert not heard.ended and not heard.silent, heard

    def _observe(self, *statements: str) -> list[bytes | None]:
        """The first column of what these statements of ours, sent past any proxy, return."""
        self._observer.send(b"".join(map(query, statements)) + fence())
        frames = self._observer.hear().frames
        assert not [frame for frame in frames if frame.type == "E"], frames
        return [row[0] for row in rows(frames)][:-1]

    def say(self, said: Script) -> None:
        """All at once, as far as there is no pause."""
        unsent = [b""] * CLIENTS
        for client, name, pause in said:
            unsent[client] += spell(name, client)
            if pause:
                self.client(client).send(unsent[client])
                self.client(client).linger(PAUSE_S)
                unsent[client] = b""
        for number in range(CLIENTS):
            self.client(number).send(unsent[number] + self.fences[number])

    def hear(self) -> list[Heard]:
        return [self._hear(number) for number in range(CLIENTS)]

    def _hear(self, number: int) -> Heard:
        heard = self.client(number).hear()
        if heard.ended or heard.silent:
            self.client(number).close()
            self._clients[number] = None
        return heard


def readable(heard: Heard) -> list[object]:
    """What has to be the same: not when a ParameterStatus came, nor numbers of tables and of lines in a source."""
    lines = [_readable(frame) for frame in heard.frames if frame.type != "S" and not is_told_pinned(frame)]
    return [*lines, "closed" if heard.ended else "silent" if heard.silent else "the end"]


def is_told_pinned(frame: Frame) -> bool:
    """A notice of the proxy's own: what this client holds cannot follow it to another server."""
    return frame.type == "N" and "this client keeps its server connection" in error_fields(frame)["M"]


def _readable(frame: Frame) -> object:
    if frame.type == "A":
        return frame.type, frame.body[4:]  # behind the process id
    if frame.type in "EN":
        return frame.type, {name: value for name, value in error_fields(frame).items() if name not in "FLR"}
    return (frame.type, _without_oids(frame.body)) if frame.type == "T" else tuple(frame)


def _without_oids(described: bytes) -> list[tuple[bytes, bytes]]:
    """Name, then type, size and format of each column of a RowDescription."""
    columns = []
    (count,) = struct.unpack_from("!H", described)
    rest = described[2:]
    for _ in range(count):
        name, _, rest = rest.partition(b"\0")
        columns.append((name, rest[6:18]))
        rest = rest[18:]
    return columns


def undecidable(said: Script, client: int) -> bool:
    """Whether this client sends a Sync amid the data of what may be a COPY.

    A server that still copies ignores it, one whose COPY has failed answers it, and nobody between the two can know
    which it was when the next data goes by, or the client leaves.
    """
    fed = synced = False
    for kind in [*(spell(saying.name, client)[:1] for saying in said if saying.client == client), b"f"]:
        if kind in (b"d", b"c", b"f", b"X"):
            if synced:
                return True
            fed = kind == b"d"
        elif kind == b"S":
            synced = fed
        elif kind != b"H":
            fed = synced = False
    return False


def leaves(said: Script, client: int) -> bool:
    """Whether this client says goodbye."""
    return any(saying.name == "X" for saying in said if saying.client == client)
