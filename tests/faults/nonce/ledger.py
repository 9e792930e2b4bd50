"""The ledger: what every writer was told of its writes, to be compared with the table afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

ONCE = "once"  # acknowledged: there, and not twice
ABSENT = "absent"  # refused, rolled back or never asked to commit
MAYBE = "maybe"  # its commit was under way when the connection or the server was lost

ALLOWED: Mapping[str, range] = {ONCE: range(1, 2), ABSENT: range(1), MAYBE: range(2)}

TABLE = "ledger"
CREATE = f"CREATE TABLE IF NOT EXISTS {TABLE} (nonce text NOT NULL, client int NOT NULL)"

# After these errors an autocommit statement, or a COMMIT, may or may not have happened, as at a connection's end.
UNKNOWN = frozenset(("08006", "08007"))


class Entry(NamedTuple):
    told: str
    how: str


@dataclass(slots=True)
class Ledger:
    """Of one client or, merged, of all."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def record(self, nonces: Iterable[str], told: str, how: str = "") -> None:
        """``how`` is for whoever looks into a discrepancy."""
        for one in nonces:
            self.entries[one] = Entry(told, how)


NOBODYS = Entry(ABSENT, "nobody wrote it")


@dataclass(frozen=True, slots=True)
class Discrepancy:
    nonce: str
    entry: Entry
    count: int

    def __str__(self) -> str:
        return f"{self.nonce} was told to be {self.entry.told} ({self.entry.how}), and is there {self.count} times"


def compare(entries: Mapping[str, Entry], table: Counter[str]) -> list[Discrepancy]:
    """What stands in the table otherwise than its writer was told; also what nobody wrote."""
    wrong = [Discrepancy(n, entry, table[n]) for n, entry in entries.items() if table[n] not in ALLOWED[entry.told]]
    return wrong + [Discrepancy(n, NOBODYS, count) for n, count in table.items() if n not in entries]
